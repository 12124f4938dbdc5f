package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// Nomad's own Connect in bridge mode has what every sidecar has: a hot restart that
// nobody notices, another Envoy when it is killed, and a stop that drains.
func TestNative(t *testing.T) {
	c := &count{Cluster: bridged(t)}
	c.run(t, "bridge", "1")
	c.serves(t)
	const proxy = "connect-proxy-count-api"
	api := func() *api.Allocation {
		allocs, err := c.Nomad.Running(t.Context(), "count", "api")
		must.NoError(t, err)
		must.Len(t, 2, allocs)
		return allocs[0]
	}
	c.execsInNetwork(t, api(), proxy)
	underLoad(t, c.load, "native sidecar, hot restart", 0, func() {
		server, since := api(), time.Now()
		must.NoError(t, c.Nomad.Client.Allocations().Signal(server, nil, proxy, "SIGHUP"))
		awaitEvent(t, c.Cluster, server, proxy, since, "(SIGHUP): Envoy")
	})
	underLoad(t, c.load, "native sidecar, restart of its task", 0, func() {
		server, since := api(), time.Now()
		must.NoError(t, c.Nomad.Client.Allocations().Restart(server, proxy, nil))
		awaitEvent(t, c.Cluster, server, proxy, since, "Serving")
	})
	underLoad(t, c.load, "native sidecar, SIGKILL of the plugin", 0, func() {
		killPlugin(t, c.Cluster, func(context.Context) error { return nil })
		awaitEvent(t, c.Cluster, api(), proxy, time.Now().Add(-time.Minute), "Found Envoy again")
	})
	underCrash(t, c.load, "native sidecar, SIGKILL of its Envoy", func() time.Time {
		return crash(t, c.Cluster, api(), proxy)
	})
	must.NoError(t, c.PurgeJobs(t.Context()))
	nothingLeft(t, c.Cluster)
}

// execsInNetwork sees to it that a command in the sidecar's task has its network.
func (c *count) execsInNetwork(t *testing.T, alloc *api.Allocation, task string) {
	t.Helper()
	for _, pid := range generations(t, c.Cluster, alloc) {
		want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		must.NoError(t, err)
		got, _ := pipe(t, c.Cluster, 0, "", filepath.Join(*tools, "nomad"), "alloc", "exec", "-t=false", "-task", task, alloc.ID, "readlink", "/proc/self/ns/net")
		must.Eq(t, want, strings.TrimSpace(got))
	}
}

// gatewayJob is an ingress gateway before the shop, which Nomad takes on the host
// network, too.
const gatewayJob = `
job "gateway" {
  group "gateway" {
    network {
      mode = "host"
      port "in" {
        static = 9700
      }
    }
    service {
      name = "shop-ingress"
      port = "in"
      connect {
        gateway {
          ingress {
            listener {
              port     = 9700
              protocol = "tcp"
              service {
                name = "shop"
              }
            }
          }
        }
        sidecar_task {
          driver = "connect"
          config {
            bootstrap {}
            drain {
              timeout = "2s"
            }
          }
          env {
            CONSUL_GRPC_ADDR = "127.0.0.1:%d" # for Nomad, which takes it to be 8502
          }
        }
      }
    }
  }
}`

// A gateway of Nomad's own Connect leads into the mesh, and is hot restarted and
// drained as a sidecar is.
func TestNative_gateway(t *testing.T) {
	c := bridged(t)
	s := openShop(t, c)
	_, err := c.Nomad.Run(t.Context(), fmt.Sprintf(gatewayJob, c.Consul.GRPC))
	must.NoError(t, err)
	defer tellStory(t, c, "gateway")
	ask := agents.AskEcho("10.123.0.1:9700")
	eventually(t, 45*time.Second, func(ctx context.Context) error { return ask(ctx, 0) })
	const task = "connect-ingress-shop-ingress"
	gateway := awaitRunning(t, c, "gateway", "gateway")
	awaitEvent(t, c, gateway, task, time.Time{}, "Runs the ingress-gateway shop-ingress, which Nomad has registered")
	underLoad(t, ask, "native gateway, hot restart", 0, func() {
		since := time.Now()
		must.NoError(t, c.Nomad.Client.Allocations().Signal(gateway, nil, task, "SIGHUP"))
		awaitEvent(t, c, gateway, task, since, "has left: it exited with status 0")
	})
	must.NoError(t, s.PurgeJobs(t.Context()))
	nothingLeft(t, c)
}
