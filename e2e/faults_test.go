package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// shopJob is a service with some instances behind sidecars, on all nodes. Another
// version is the same in other allocations.
func shopJob(t *testing.T, count, version int) string {
	t.Helper()
	self, err := os.Executable()
	must.NoError(t, err)
	return fmt.Sprintf(`
job "shop" {
  update {
    max_parallel     = 1
    min_healthy_time = "1s"
    healthy_deadline = "30s"
  }
  migrate {
    max_parallel     = 1
    min_healthy_time = "1s"
    healthy_deadline = "30s"
  }
  spread {
    attribute = "${node.unique.id}"
  }
  group "shop" {
    count          = %d
    shutdown_delay = "3s"%s
    network {
      mode = "host"
      port "app" {
        host_network = "loopback"
      }
      port "mesh" {}
    }
    service {
      name = "shop"
      port = "app"
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = %q
      }
      env {
        %s      = "${NOMAD_ADDR_app}"
        VERSION = "%d"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
%s
  }
}`, count, restartSoon, self, asApp, version, proxyTask(`
        service = "shop"
        sidecar_service {
          port = "mesh"
        }`+quickDrain))
}

// shopperJob is a client on the first node, whose upstream is the shop.
var shopperJob = fmt.Sprintf(`
job "shopper" {
  constraint {
    attribute = "${node.unique.name}"
    value     = "nomad"
  }
  update {
    min_healthy_time = "1s"
  }
  group "shopper" {%s
    network {
      mode = "host"
      port "mesh" {}
      port "up_shop" {
        host_network = "loopback"
      }
    }%s%s
  }
}`, restartSoon, idleApp, proxyTask(`
        service = "shopper"
        sidecar_service {
          port       = "mesh"
          standalone = true
          proxy {
            upstreams {
              destination_name = "shop"
              port             = "up_shop"
            }
          }
        }`+quickDrain))

// quickDrain lets an Envoy leave soon after a hot restart.
const quickDrain = `
        drain {
          timeout = "2s"
        }
`

// shop is a service with two instances and a client that is under load.
type shop struct {
	*agents.Cluster
	upstream string // where the client finds the service
	version  int    // of the server's job

	crashed map[string]time.Time // the last time that an allocation's Envoy was made to
}

func runShop(t *testing.T) *shop {
	return openShop(t, cluster(t))
}

func openShop(t *testing.T, c *agents.Cluster) *shop {
	t.Helper()
	(&shop{Cluster: c}).deploy(t, 2)
	return openShopper(t, c, shopperJob)
}

// openShopper starts the client of a shop that is open already.
func openShopper(t *testing.T, c *agents.Cluster, job string) *shop {
	t.Helper()
	s := &shop{Cluster: c}
	_, err := s.Nomad.Run(t.Context(), job)
	must.NoError(t, err)
	client := awaitRunning(t, s.Cluster, "shopper", "shopper")
	s.upstream, err = agents.Port(client, "up_shop")
	must.NoError(t, err)
	s.answers(t)
	return s
}

// answers waits until the client has heard of an instance.
func (s *shop) answers(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		_, err := agents.SendLine(ctx, "tcp", s.upstream, "hello")
		return err
	})
}

// submit sends the server's job as it is now, and does not wait for what follows.
func (s *shop) submit(t *testing.T, count int) {
	t.Helper()
	_, err := s.Nomad.Run(t.Context(), shopJob(t, count, s.version))
	must.NoError(t, err)
}

func (s *shop) deploy(t *testing.T, count int) {
	t.Helper()
	s.submit(t, count)
	must.NoError(t, s.Nomad.AwaitDeployment(t.Context(), "shop"))
}

// server is one of the instances.
func (s *shop) server(t *testing.T) *api.Allocation {
	t.Helper()
	servers, err := s.Nomad.Running(t.Context(), "shop", "shop")
	must.NoError(t, err)
	must.Len(t, 2, servers)
	return servers[0]
}

// awaitEvent waits until a sidecar has told something since a time.
func (s *shop) awaitEvent(t *testing.T, alloc *api.Allocation, since time.Time, sentence string) {
	t.Helper()
	awaitEvent(t, s.Cluster, alloc, "proxy", since, sentence)
}

// awaitEvent waits for an event of a task that says something.
func awaitEvent(t *testing.T, c *agents.Cluster, alloc *api.Allocation, task string, since time.Time, sentence string) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		now, _, err := c.Nomad.Client.Allocations().Info(alloc.ID, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if events := strings.Join(agents.EventsSince(now, task, since), "\n"); !strings.Contains(events, sentence) {
			return fmt.Errorf("no event says %q:\n%s", sentence, events)
		}
		return nil
	})
}

// obeys waits until Nomad and the driver have the servers in hand. A client that
// has just come back tells the use of resources of a task as soon as it has done
// so; what it is asked to stop before, it ends at once, without shutdown_delay
// and while its services are still in Consul (Nomad's TaskRunner.Run).
func (s *shop) obeys(t *testing.T) {
	t.Helper()
	servers, err := s.Nomad.Running(t.Context(), "shop", "shop")
	must.NoError(t, err)
	must.Len(t, 2, servers)
	for _, server := range servers {
		eventually(t, 60*time.Second, func(ctx context.Context) error {
			if err := s.Nomad.Client.Allocations().Signal(server, nil, "proxy", "SIGUSR1"); err != nil {
				return err
			}
			usage, err := s.Nomad.Client.Allocations().Stats(server, (&api.QueryOptions{}).WithContext(ctx))
			if err == nil && len(usage.Tasks) != 2 {
				err = fmt.Errorf("%d of 2 tasks tell their use of resources", len(usage.Tasks))
			}
			return err
		})
	}
}

// fault is something that is done to a mesh, under load.
type fault struct {
	name string
	do   func(*testing.T, *shop)

	// within is how long connections may fail; 0 for not at all.
	within time.Duration

	// crash, in the place of do, has an Envoy die, and gives the moment. Only what was
	// open then may fail.
	crash func(*testing.T, *shop) time.Time
}

var faults = []fault{
	{name: "rolling update, count 2", do: func(t *testing.T, s *shop) {
		s.version++
		s.deploy(t, 2)
	}},
	{name: "scale 3 to 1", do: func(t *testing.T, s *shop) {
		s.deploy(t, 3)
		s.submit(t, 1) // which is no deployment
		awaitCount(t, s.Cluster, 1)
		s.deploy(t, 2)
	}},
	{name: "restart of a sidecar's task", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		must.NoError(t, s.Nomad.Client.Allocations().Restart(server, "proxy", nil))
		s.awaitEvent(t, server, since, "Serving")
	}},
	{name: "registration deleted by hand", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		proxies, err := s.Consul.Proxies(t.Context())
		must.NoError(t, err)
		for id := range proxies {
			if strings.Contains(id, server.ID) {
				must.NoError(t, s.Consul.Client.Agent().ServiceDeregister(id))
			}
		}
		s.awaitEvent(t, server, since, "Registered again")
	}},
	{name: "SIGKILL of the plugin", do: func(t *testing.T, s *shop) {
		killPlugin(t, s.Cluster, func(context.Context) error { return nil })
		s.obeys(t)
	}},
	{name: "SIGTERM of Nomad's client, back after 5 s", do: func(t *testing.T, s *shop) {
		must.NoError(t, s.Nomad.Stop())
		downFor(t, 5*time.Second)
		must.NoError(t, s.Nomad.Start())
		s.obeys(t)
	}},
	{name: "SIGKILL of Nomad's client, back after 5 s", do: func(t *testing.T, s *shop) {
		must.NoError(t, s.Nomad.Kill())
		downFor(t, 5*time.Second)
		must.NoError(t, s.Nomad.Start())
		s.obeys(t)
	}},
	{name: "Consul's agent restarted, 3 s down", do: func(t *testing.T, s *shop) { s.restartConsul(t, 3*time.Second) }},
	// Longer than Envoy waits between two attempts to reach it, which is 30 s at most.
	{name: "Consul away for 35 s", do: func(t *testing.T, s *shop) { s.restartConsul(t, 35*time.Second) }},
	// Consul knows of no endpoint until Nomad has brought the services back.
	{name: "Consul's agent loses its data", within: 50 * time.Second, do: func(t *testing.T, s *shop) { s.loseConsulsData(t) }},
	{name: "SIGSTOP of a server's Envoy", within: 15 * time.Second, do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		s.noteCrash(server)
		must.NoError(t, s.Nomad.Client.Allocations().Signal(server, nil, "proxy", "SIGSTOP"))
		s.awaitEvent(t, server, since, "Envoy hangs")
		s.awaitEvent(t, server, since, "serves again")
	}},
	{name: "Envoy ignores SIGTERM", do: func(t *testing.T, s *shop) {
		defer s.installTool(t, "envoy")
		s.installScript(t, deafEnvoy)
		server := s.server(t)
		for range 2 {
			since := time.Now()
			must.NoError(t, s.Nomad.Client.Allocations().Restart(server, "proxy", nil))
			s.awaitEvent(t, server, since, "Serving")
		}
		since := time.Now()
		s.installTool(t, "envoy")
		must.NoError(t, s.Nomad.Client.Allocations().Restart(server, "proxy", nil))
		s.awaitEvent(t, server, since, "was killed by signal 9 (SIGKILL)")
		s.awaitEvent(t, server, since, "Serving")
		must.MapLen(t, 1, generations(t, s.Cluster, server))
	}},
	{name: "SIGKILL of a server's Envoy", crash: func(t *testing.T, s *shop) time.Time {
		server := s.server(t)
		s.takes(t, server, loadRate/10) // it has its share of the connections
		return s.crash(t, server)
	}},
	{name: "SIGKILL of the client's Envoy", crash: func(t *testing.T, s *shop) time.Time {
		return s.crash(t, awaitRunning(t, s.Cluster, "shopper", "shopper"))
	}},
}

// suffer does all of them to the mesh, one after the other, under load.
func (s *shop) suffer(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { s.sufferOne(t, f, f.name) })
	}
}

// sufferOne adds a row of that name to the table of faults.
func (s *shop) sufferOne(t *testing.T, f fault, row string) {
	t.Helper()
	from := len(s.driverLog(t))
	defer func() {
		if t.Failed() {
			t.Log("the driver meanwhile:\n" + strings.Join(s.driverLog(t)[from:], ""))
		}
	}()
	if ask := agents.AskEcho(s.upstream); f.crash != nil {
		underCrash(t, ask, row, func() time.Time { return f.crash(t, s) })
	} else {
		underLoad(t, ask, row, f.within, func() { f.do(t, s) })
	}
	s.sidecars(t) // all of them are healthy again
}

// driverLog is what the driver has said in Nomad's log.
func (s *shop) driverLog(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(s.Nomad.Log)
	must.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "driver=connect") {
			lines = append(lines, line)
		}
	}
	return lines
}

// Nothing that is done to the mesh is noticed by those who use it.
func TestFaults(t *testing.T) {
	runShop(t).suffer(t, faults)
}

// awaitCount waits until that many instances of the shop are left.
func awaitCount(t *testing.T, c *agents.Cluster, count int) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		running, err := c.Nomad.Running(ctx, "shop", "shop")
		if err == nil && len(running) != count {
			err = fmt.Errorf("%d run", len(running))
		}
		return err
	})
}
