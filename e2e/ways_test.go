package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	consul "github.com/hashicorp/consul/api"

	"nomad-driver-connect/e2e/agents"
)

// way is a way to put a sidecar beside an app on the host network: what
// benchmarks compare. Everything but the sidecar's task is the same.
type way struct {
	name   string
	task   func(*agents.Cluster, side) (string, error)
	plugin bool   // it is the plugin that looks after the sidecars
	check  string // of the app's service; empty for none
}

// ways are this driver; what people write by hand, beside the app; and the same
// in the order that Nomad's lifecycle block gives, where the app starts when the
// sidecar's task runs, ready or not.
var ways = []way{
	{name: "connect", task: connectTask, plugin: true},
	{name: "recipe", task: recipeTask("")},
	{name: "ordered", task: recipeTask("\nlifecycle {\n hook = \"prestart\"\n sidecar = true\n}")},
}

// checkedWays are this driver beside services with a check that Nomad has Consul run
// every ten seconds. They are compared with the recipe without any.
var checkedWays = []way{
	{name: "tcp", task: connectTask, plugin: true, check: "check {\n type = \"tcp\"\n interval = \"10s\"\n timeout = \"1s\"\n}"},
	{name: "http", task: connectTask, plugin: true, check: "check {\n type = \"http\"\n path = \"/health\"\n interval = \"10s\"\n timeout = \"1s\"\n}"},
}

// side is an app and its sidecar. Its ports are fixed, as the recipe wants it,
// and follow from its number.
type side struct {
	number   int
	upstream string // the service that it finds at upstreamPort; empty for none
}

func (s side) name() string      { return fmt.Sprintf("app-%d", s.number) }
func (s side) appPort() int      { return 9000 + s.number }
func (s side) upstreamPort() int { return 9500 + s.number }
func (s side) meshPort() int     { return 21000 + s.number }
func (s side) adminPort() int    { return 19000 + s.number }

const sideJob = `
job %[1]q {
  group %[1]q {
    network {
      mode = "host"
      port "app" {
        static       = %[2]d
        host_network = "loopback"
      }
      port "upstream" {
        static       = %[3]d
        host_network = "loopback"
      }
      port "mesh" {
        static = %[4]d
      }
    }
    service {
      name = %[1]q
      port = "app"
      %[8]s
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = %[5]q
      }
      env {
        %[6]s = "${NOMAD_ADDR_app}"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
%[7]s
  }
}`

// job is the app with the sidecar.
func (w way) job(c *agents.Cluster, s side) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	task, err := w.task(c, s)
	return fmt.Sprintf(sideJob, s.name(), s.appPort(), s.upstreamPort(), s.meshPort(), self, asApp, task, w.check), err
}

// connectTask is the sidecar with this driver.
func connectTask(_ *agents.Cluster, s side) (string, error) {
	upstream := ""
	if s.upstream != "" {
		upstream = fmt.Sprintf("proxy {\n upstreams {\n destination_name = %q\n port = \"upstream\"\n}\n}", s.upstream)
	}
	return proxyTask(fmt.Sprintf("service = %q\nsidecar_service {\n port = \"mesh\"\n%s\n}\n", s.name(), upstream)), nil
}

// recipeTask is what people write by hand: registered by a file, without a
// check, and run by `consul connect envoy`.
func recipeTask(lifecycle string) func(*agents.Cluster, side) (string, error) {
	return func(c *agents.Cluster, s side) (string, error) {
		file := filepath.Join(c.Dir, recipeID(s)+".json")
		return fmt.Sprintf(recipe, lifecycle, file, recipeID(s), s.adminPort(), c.Consul.GRPC, c.Envoy(), c.Tool("consul"), c.Consul.HTTP),
			os.WriteFile(file, serviceFile(s), 0o644)
	}
}

const recipe = `
    task "proxy" {
      driver = "raw_exec"%s
      config {
        command = "sh"
        args = ["-c", <<-END
          $CONSUL services register %s &&
          exec $CONSUL connect envoy -proxy-id %s -admin-bind 127.0.0.1:%d -grpc-addr 127.0.0.1:%d \
            -envoy-binary %s -ignore-envoy-compatibility
        END
        ]
      }
      env {
        CONSUL           = %q
        CONSUL_HTTP_ADDR = %q
      }
      resources {
        cpu    = 20
        memory = 64
      }
    }`

func recipeID(s side) string { return s.name() + "-proxy" }

// serviceFile is what the recipe registers.
func serviceFile(s side) []byte {
	upstream := ""
	if s.upstream != "" {
		upstream = fmt.Sprintf(`{"destination_type": "service", "destination_name": %q, "local_bind_address": "127.0.0.1", "local_bind_port": %d}`, s.upstream, s.upstreamPort())
	}
	return fmt.Appendf(nil, recipeService, recipeID(s), s.meshPort(), s.name(), s.appPort(), upstream)
}

const recipeService = `{
  "service": {
    "name": %q,
    "kind": "connect-proxy",
    "address": "127.0.0.1",
    "port": %d,
    "proxy": {
      "destination_service_name": %q,
      "local_service_address": "127.0.0.1",
      "local_service_port": %d,
      "upstreams": [%s]
    }
  }
}
`

// start submits the job, as `nomad job run` does.
func (w way) start(ctx context.Context, c *agents.Cluster, s side) error {
	job, err := w.job(c, s)
	if err != nil {
		return err
	}
	_, err = c.Nomad.Run(ctx, job)
	return err
}

// end stops the job and removes the registration, which the recipe leaves for ever.
func (w way) end(ctx context.Context, c *agents.Cluster, s side) error {
	if err := c.Nomad.Purge(ctx, s.name()); err != nil {
		return err
	}
	proxies, err := c.Consul.Proxies(ctx)
	if err != nil || proxies[recipeID(s)] == nil {
		return err
	}
	return c.Consul.Client.Agent().ServiceDeregisterOpts(recipeID(s), (&consul.QueryOptions{}).WithContext(ctx))
}
