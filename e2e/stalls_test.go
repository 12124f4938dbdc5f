package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// form is a form in which a job has its sidecar.
type form string

const (
	ownTask form = "own task"
	hooked  form = "hook" // Nomad's connect block, rewritten by the hook
	dropIn  form = "drop-in"
)

// forms are all of them. The drop-in wants a node that groups in bridge mode reach.
var forms = []form{ownTask, hooked, dropIn}

// stall is a service named "shop", in any form, whose app listens on two ports. What is
// empty has a default, or is left out.
type stall struct {
	form     form
	job      string // "shop"
	count    int    // 2
	version  int
	update   string // more of the update block
	group    string // more of the group
	port     string // the label of the service's port: "app", or "other"
	service  string // more of the service
	mesh     string // more of the block of the public listener's port
	proxy    string // more of sidecar_service.proxy
	sidecar  string // more of the config of the sidecar's task
	loopback bool   // the app listens on 127.0.0.1, wherever the service's address is
}

const stallJob = `
job %[1]q {
  update {
    min_healthy_time = "1s"
    healthy_deadline = "30s"
    %[2]s
  }
  group "shop" {
    count          = %[3]d
    shutdown_delay = "3s"
    %[4]s
    network {
      mode = %[5]q
      port "app" {
        %[6]s
      }
      port "other" {
        %[6]s
      }
      port "mesh" {
        %[7]s
      }
    }
    service {
      name = "shop"
      port = %[8]q
      %[9]s
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = %[10]q
      }
      env {
        %[11]s  = %[12]q
        VERSION = "%[13]d"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
    %[14]s
  }
}`

// hcl is the job as its author writes it.
func (s stall) hcl(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	must.NoError(t, err)
	mode, port, listens := "host", "", "${NOMAD_ADDR_app},${NOMAD_ADDR_other}"
	service, task := s.service, ""
	switch s.form {
	case ownTask:
		task = proxyTask("service = \"shop\"\nsidecar_service {\nport = \"mesh\"\nproxy {\n" + s.proxy + "\n}\n}\n" + s.sidecar)
	case hooked:
		service += s.connect("")
	case dropIn:
		mode, port, listens = "bridge", "to = -1", ":${NOMAD_PORT_app},:${NOMAD_PORT_other}"
		service += s.connect("bootstrap {}")
	}
	if s.loopback {
		listens = "127.0.0.1:${NOMAD_PORT_app}"
	} else if s.form != dropIn {
		port = "host_network = \"loopback\""
	}
	return fmt.Sprintf(stallJob, s.name(), s.update, cmp.Or(s.count, 2), cmp.Or(s.group, restartSoon), mode, port, s.mesh,
		cmp.Or(s.port, "app"), service, self, asApp, listens, s.version, task)
}

func (s stall) name() string { return cmp.Or(s.job, "shop") }

// connect is Nomad's block, with a task of this driver's that is named as others are.
func (s stall) connect(config string) string {
	return fmt.Sprintf(`
      connect {
        sidecar_service {
          port = "mesh"
          proxy {
            %s
          }
        }
        sidecar_task {
          name   = "proxy"
          driver = "connect"
          config {
            %s
            %s
          }
          resources {
            cpu    = 20
            memory = 128
          }
        }
      }`, s.proxy, config, s.sidecar)
}

// parsed is the job as it is submitted.
func (s stall) parsed(t *testing.T, c *agents.Cluster) *api.Job {
	t.Helper()
	if s.form == hooked {
		text, _ := pipe(t, c, 0, s.hcl(t), *plugin, "hook", "-")
		var written struct{ Job *api.Job }
		must.NoError(t, json.Unmarshal([]byte(text), &written))
		return written.Job
	}
	job, err := c.Nomad.Client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: s.hcl(t), Canonicalize: true})
	must.NoError(t, err)
	return job
}

// submit sends the job, and does not wait for what follows.
func (s stall) submit(t *testing.T, c *agents.Cluster) {
	t.Helper()
	_, _, err := c.Nomad.Client.Jobs().Register(s.parsed(t, c), nil)
	must.NoError(t, err)
}

// planned sees to it that a submission would replace nothing.
func (s stall) planned(t *testing.T, c *agents.Cluster) {
	t.Helper()
	plan, _, err := c.Nomad.Client.Jobs().Plan(s.parsed(t, c), true, nil)
	must.NoError(t, err)
	would := plan.Annotations.DesiredTGUpdates["shop"]
	must.Eq(t, uint64(cmp.Or(s.count, 2)), would.InPlaceUpdate, must.Sprintf("%+v", would))
	must.Zero(t, would.DestructiveUpdate+would.Place+would.Stop)
}

// openStalls has the service with its client; a client in whose config drain is not
// said leaves as Envoy does by itself.
func openStalls(t *testing.T, c *agents.Cluster, stalls ...stall) *shop {
	t.Helper()
	t.Cleanup(func() { // first, while the allocations are there
		for _, s := range stalls {
			tellStory(t, c, s.name())
		}
	})
	for _, s := range stalls {
		s.submit(t, c)
	}
	for _, s := range stalls {
		must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), s.name()))
	}
	client := shopperJob
	if !slices.ContainsFunc(stalls, func(s stall) bool { return strings.Contains(s.sidecar, "drain") }) {
		client = strings.Replace(client, quickDrain, "", 1)
	}
	return openShopper(t, c, client)
}
