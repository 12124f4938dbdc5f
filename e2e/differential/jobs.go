package differential

import (
	"fmt"
	"slices"
	"strings"
)

// Job is one to be submitted both ways.
type Job struct {
	Name    string
	blocks  string // of the group besides its app; without a network block there is one with the port http
	job     string // what else the job says
	Native  string // a part of what Nomad says when it refuses the job in bridge mode
	Refused string // a part of what the hook says when it does
}

// Jobs are all of them.
func Jobs() []Job {
	return slices.Concat(serviceJobs(), checkJobs(), connectJobs(), upstreamJobs(), sidecarTaskJobs(), networkJobs(), groupJobs())
}

// Host is the job for the hook, and for the host network.
func (j Job) Host() string { return j.hcl("host") }

// Bridge is the job for Nomad's own Connect. No node is in its datacenter: what the
// server makes of it is asked for, and not that it runs.
func (j Job) Bridge() string { return j.hcl("bridge") }

func (j Job) hcl(mode string) string {
	blocks := j.blocks
	if !strings.Contains(blocks, "network {") {
		blocks = "network {\n port \"http\" {}\n}\n" + blocks
	}
	blocks = strings.Replace(blocks, "network {", "network {\n mode = \""+mode+"\"", 1)
	return fmt.Sprintf(`job "shop" {
  namespace   = "default"
  region      = "global"
  datacenters = ["nowhere"]
%s
  group "g" {
%s
    task "app" {
      driver = "raw_exec"
      config {
        command = "app"
      }
    }
  }
}`, j.job, blocks)
}

const sidecar = "connect {\n sidecar_service {}\n}\n"

// web is the service, with what else is said of it.
func web(lines ...string) string {
	return "service {\n name = \"web\"\n port = \"http\"\n" + strings.Join(lines, "\n") + "\n}\n"
}

// with is the service with a sidecar, and what else is said of it.
func with(lines ...string) string { return web(append(lines, sidecar)...) }

// number is a service that says where its app listens in the allocation's network.
func number(lines ...string) string {
	return "service {\n name = \"web\"\n port = \"8080\"\n" + strings.Join(lines, "\n") + "\n}\n"
}

func connect(body string) string { return web("connect {\n" + body + "\n}") }
func proxy(body string) string {
	return connect("sidecar_service {\n proxy {\n" + body + "\n }\n}")
}
func upstream(lines ...string) string {
	return proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n" + strings.Join(lines, "\n") + "\n}")
}
func sidecarTask(body string) string {
	return connect("sidecar_service {}\n sidecar_task {\n" + body + "\n}")
}
func network(ports string) string { return "network {\n" + ports + "\n}\n" }

// check is a check of HTTP, with what else is said of it.
func check(lines ...string) string {
	return "check {\n type = \"http\"\n name = \"alive\"\n path = \"/health\"\n interval = \"10s\"\n timeout = \"2s\"\n" + strings.Join(lines, "\n") + "\n}\n"
}
