package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// asApp marks the process that is the app of a job: the test's own binary,
// which takes connections faster than a shell does.
const asApp = "E2E_APP"

// runApp sends every line back that it gets at an address.
func runApp(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				if _, err := fmt.Fprintln(conn, lines.Text()); err != nil {
					return
				}
			}
		}()
	}
}

// shopJob is a service with some instances behind sidecars. Another version is
// the same in other allocations.
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
  group "shop" {
    count          = %d
    shutdown_delay = "3s"
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
}`, count, self, asApp, version, proxyTask("service = \"shop\"\nsidecar_service {\n port = \"mesh\"\n}\n"))
}

// shopperJob is a client whose upstream is the shop.
var shopperJob = fmt.Sprintf(`
job "shopper" {
  update {
    min_healthy_time = "1s"
  }
  group "shopper" {
    network {
      mode = "host"
      port "mesh" {}
      port "up_shop" {
        host_network = "loopback"
      }
    }%s%s
  }
}`, idleApp, proxyTask(`
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
        }`))

// loadRate is in new connections a second.
const loadRate = 200

// What is done to a mesh while it is under load, and must not be noticed.
func TestFaults(t *testing.T) {
	c := cluster(t)
	runShop := func(t *testing.T, count, version int) {
		t.Helper()
		_, err := c.Nomad.Run(t.Context(), shopJob(t, count, version))
		must.NoError(t, err)
		must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "shop"))
	}
	runShop(t, 2, 0)
	_, err := c.Nomad.Run(t.Context(), shopperJob)
	must.NoError(t, err)
	client := awaitRunning(t, c, "shopper", "shopper")
	upstream, err := agents.Port(client, "up_shop")
	must.NoError(t, err)
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		_, err := agents.SendLine(ctx, "tcp", upstream, "hello")
		return err
	})
	for _, fault := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"rolling update, count 2", func(t *testing.T) {
			runShop(t, 2, 1)
			must.NoError(t, c.Nomad.AwaitSettled(t.Context(), "shop"))
		}},
		{"scale 3 to 1", func(t *testing.T) {
			runShop(t, 3, 1)
			_, err := c.Nomad.Run(t.Context(), shopJob(t, 1, 1)) // which is no deployment
			must.NoError(t, err)
			awaitCount(t, c, 1)
			runShop(t, 2, 1)
		}},
		{"restart of a sidecar's task", func(t *testing.T) {
			servers, err := c.Nomad.Running(t.Context(), "shop", "shop")
			must.NoError(t, err)
			since := time.Now()
			must.NoError(t, c.Nomad.Client.Allocations().Restart(servers[0], "proxy", nil))
			eventually(t, 30*time.Second, func(ctx context.Context) error {
				alloc, _, err := c.Nomad.Client.Allocations().Info(servers[0].ID, (&api.QueryOptions{}).WithContext(ctx))
				if err == nil && !strings.Contains(strings.Join(agents.EventsSince(alloc, "proxy", since), "\n"), "Serving") {
					err = errors.New("the sidecar does not serve again")
				}
				return err
			})
		}},
		{"registration deleted by hand", func(t *testing.T) {
			servers, err := c.Nomad.Running(t.Context(), "shop", "shop")
			must.NoError(t, err)
			proxies, err := c.Consul.Proxies(t.Context())
			must.NoError(t, err)
			since := time.Now()
			for id := range proxies {
				if strings.Contains(id, servers[0].ID) {
					must.NoError(t, c.Consul.Client.Agent().ServiceDeregister(id))
				}
			}
			eventually(t, 10*time.Second, func(ctx context.Context) error {
				alloc, _, err := c.Nomad.Client.Allocations().Info(servers[0].ID, (&api.QueryOptions{}).WithContext(ctx))
				if err == nil && !strings.Contains(strings.Join(agents.EventsSince(alloc, "proxy", since), "\n"), "Registered again") {
					err = errors.New("the sidecar is not registered again")
				}
				return err
			})
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			load := agents.StartLoad(t.Context(), upstream, loadRate)
			fault.do(t)
			report := load.Stop()
			t.Logf("%s: %s", fault.name, report)
			must.Eq(t, 0, report.Failed, must.Sprintf("%s; first: %v", report, report.FirstFailure))
		})
	}
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
