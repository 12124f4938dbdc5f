package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// mistakeJob is a job whose sidecar task is called "proxy".
func mistakeJob(id, network, config string) string {
	if network == "" {
		network = `
    mode = "host"
    port "http" {
      host_network = "loopback"
    }
    port "mesh" {}`
	}
	return fmt.Sprintf(`
job %q {
  group "g" {
    network {%s
    }
    service {
      name = "web"
      port = "http"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    restart {
      attempts = 1
      delay    = "1s"
      interval = "10m"
      mode     = "fail"
    }
%s%s
  }
}`, id, network, idleApp, proxyTask(config))
}

// withSidecar is a config that is right but for what is added to it.
func withSidecar(proxy, rest string) string {
	return fmt.Sprintf("service = \"web\"\nsidecar_service {\n port = \"mesh\"\n proxy {\n%s\n }\n}\n%s", proxy, rest)
}

// Every mistake is a sentence in `nomad alloc status`; what is the author's
// fault is final, what is the world's is tried again; nothing is left behind.
func TestMistakes(t *testing.T) {
	c := cluster(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer func() { _ = taken.Close() }()
	takenNetwork := fmt.Sprintf("\n mode = \"host\"\n port \"http\" {}\n port \"mesh\" {\n static = %d\n }", taken.Addr().(*net.TCPAddr).Port)

	upstream := func(fields ...string) string { return "upstreams {\n" + strings.Join(fields, "\n") + "\n}\n" }
	makeMistakes(t, c, []mistake{
		{name: "two blocks", config: withSidecar("", "gateway {\n mesh {}\n}"), want: "config: has the blocks sidecar_service and gateway; exactly one of them says what the task is"},
		{name: "a wrong block", config: "sidecar_servce {}", want: "sidecar_servce"},
		{name: "no block", config: `service = "web"`, want: "config: says nothing of what the task is"},
		{name: "port label", config: "service = \"web\"\nsidecar_service {\n port = \"mseh\"\n}", want: `sidecar_service.port: "mseh" is not the label of a port in the network block of group "g" (it has: http, mesh)`},
		{name: "no destination", config: withSidecar(upstream("local_bind_port = 9191"), ""), want: "sidecar_service.proxy.upstreams[0].destination_name: is missing"},
		{name: "two upstreams on a port", config: withSidecar(upstream(`destination_name = "db"`, "local_bind_port = 9191")+upstream(`destination_name = "cache"`, "local_bind_port = 9191"), ""), want: `"cache" is to listen on 127.0.0.1:9191, but the upstream "db" does already`},
		{name: "port out of range", config: withSidecar(upstream(`destination_name = "db"`, "local_bind_port = 70000"), ""), want: "local_bind_port: 70000 is not a port; it is a number from 1 to 65535"},
		{name: "service unknown", config: "service = \"wbe\"\nsidecar_service {\n port = \"mesh\"\n}", want: `service: the group has no service "wbe"; it has: "web"`},
		{name: "bridge", network: "\n mode = \"bridge\"\n port \"http\" {}\n port \"mesh\" {}", config: withSidecar("", ""), want: `connect { sidecar_task { driver = "connect" config { bootstrap {} } } }`},
		{name: "bootstrap key", config: withSidecar("config = {\n envoy_tracing_json = \"zipkin\"\n}", ""), want: "sidecar_service.proxy.config.envoy_tracing_json: line 1, column 1: it is not JSON"},
		{name: "no such extension", config: withSidecar(`config = {
			envoy_tracing_json = "{\"http\": {\"name\": \"x\", \"typed_config\": {\"@type\": \"type.googleapis.com/no.such.Tracer\"}}}"
		}`, ""), want: "sidecar_service.proxy.config.envoy_tracing_json: Envoy refuses the bootstrap with it: "},
		{name: "public port taken", network: takenNetwork, config: withSidecar("", ""), want: fmt.Sprintf("the port %s (mesh) is already in use by another process", taken.Addr()), again: true},
	})
}

// mistake is a job that does not start, and what is said of it.
type mistake struct {
	name, network, user, config, want string
	again                             bool // tried again by the restart policy
}

// makeMistakes makes them on a cluster, and reads what is said of them.
func makeMistakes(t *testing.T, c *agents.Cluster, cases []mistake) {
	t.Helper()
	name := func(i int) string { return fmt.Sprintf("mistake-%d", i) }
	for i, tc := range cases {
		job := mistakeJob(name(i), tc.network, tc.config)
		if tc.user != "" {
			job = strings.Replace(job, `driver = "connect"`, fmt.Sprintf("driver = \"connect\"\n      user = %q", tc.user), 1)
		}
		_, err := c.Nomad.Run(t.Context(), job)
		must.NoError(t, err, must.Sprint(tc.name))
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			alloc := awaitEnd(t, c, name(i))
			events := strings.Join(agents.Events(alloc, "proxy"), "\n")
			must.StrContains(t, events, tc.want)
			must.Eq(t, tc.again, alloc.TaskStates["proxy"].Restarts > 0, must.Sprintf("tried again?\n%s", events))
		})
	}
	nothingLeft(t, c)
}

// awaitEnd waits until the job's allocation has failed.
func awaitEnd(t *testing.T, c *agents.Cluster, job string) *api.Allocation {
	t.Helper()
	var failed *api.Allocation
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		allocs, err := c.Nomad.Allocs(ctx, job)
		if err != nil {
			return err
		}
		for _, alloc := range allocs {
			if alloc.ClientStatus == api.AllocClientStatusFailed {
				failed = alloc
				return nil
			}
		}
		evals, _, err := c.Nomad.Client.Jobs().Evaluations(job, nil)
		return errors.Join(fmt.Errorf("no allocation has failed yet: %d allocations, %d evaluations", len(allocs), len(evals)), err)
	})
	return failed
}

func startConsul(t *testing.T, bin string, opts agents.ConsulOptions) *agents.Consul {
	t.Helper()
	c, err := agents.StartConsul(t.Context(), bin, t.TempDir(), opts)
	must.NoError(t, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}
