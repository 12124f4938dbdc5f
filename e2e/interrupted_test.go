package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/e2e/agents"
)

// killPlugin kills the plugin as soon as something is so, and waits for the next.
func killPlugin(t *testing.T, c *agents.Cluster, as func(context.Context) error) {
	t.Helper()
	var plugins []int
	eventually(t, 10*time.Second, func(context.Context) error { // what it has just forked is the plugin, too, until it is an Envoy
		if plugins = c.Plugins(); len(plugins) != 1 {
			return fmt.Errorf("plugins: %v", plugins)
		}
		return nil
	})
	must.NoError(t, agents.Until(t.Context(), as))
	must.NoError(t, syscall.Kill(plugins[0], syscall.SIGKILL))
	eventually(t, 30*time.Second, func(context.Context) error {
		if now := c.Plugins(); len(now) != 1 || now[0] == plugins[0] {
			return fmt.Errorf("plugins: %v", now)
		}
		return nil
	})
}

// deployed waits until the latest version of the shop is up, with one Envoy and
// one registration for each of its instances.
func (s *shop) deployed(t *testing.T) {
	t.Helper()
	must.NoError(t, s.Nomad.AwaitDeployment(t.Context(), "shop"))
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		proxies, err := s.Consul.Proxies(ctx)
		if envoys := s.Processes("envoy"); err == nil && (len(envoys) != 3 || len(proxies) != 3) {
			err = fmt.Errorf("%d Envoys and %d registrations of 3 sidecars", len(envoys), len(proxies))
		}
		return err
	})
}

// newest is the allocation that was made last.
func (s *shop) newest(ctx context.Context) (*api.Allocation, error) {
	allocs, err := s.Nomad.Allocs(ctx, "shop")
	if err != nil || len(allocs) == 0 {
		return nil, errors.Join(errors.New("there is no allocation"), err)
	}
	newest := allocs[0]
	for _, alloc := range allocs {
		if alloc.CreateTime > newest.CreateTime {
			newest = alloc
		}
	}
	return newest, nil
}

// starting submits another version, and gives the condition that its first
// allocation has come as far as what says.
func (s *shop) starting(t *testing.T, count int, what func(ctx context.Context, alloc *api.Allocation) bool) func(context.Context) error {
	t.Helper()
	before, err := s.newest(t.Context())
	must.NoError(t, err)
	s.version++
	s.submit(t, count)
	return func(ctx context.Context) error {
		alloc, err := s.newest(ctx)
		if err != nil {
			return err
		}
		if alloc.ID == before.ID || !what(ctx, alloc) {
			return errors.New("it is not that far yet")
		}
		return nil
	}
}

func (s *shop) registered(ctx context.Context, alloc *api.Allocation) bool {
	proxies, err := s.Consul.Proxies(ctx)
	for id := range proxies {
		if err == nil && strings.Contains(id, alloc.ID) {
			return true
		}
	}
	return false
}

// fill takes all room of a file system until the test ends.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "filler"))
	must.NoError(t, err)
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	must.ErrorIs(t, err, unix.ENOSPC)
	must.NoError(t, file.Close())
	return func() { must.NoError(t, os.Remove(file.Name())) }
}

var interruptions = []fault{
	{name: "plugin killed in StartTask, registered", do: func(t *testing.T, s *shop) {
		killPlugin(t, s.Cluster, s.starting(t, 2, s.registered))
		s.deployed(t)
	}},
	{name: "plugin killed in StartTask, Envoy started", do: func(t *testing.T, s *shop) {
		killPlugin(t, s.Cluster, s.starting(t, 2, func(_ context.Context, alloc *api.Allocation) bool {
			return len(generations(t, s.Cluster, alloc)) == 1
		}))
		s.deployed(t)
	}},
	{name: "plugin killed in StopTask", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		s.version++
		s.submit(t, 2)
		killPlugin(t, s.Cluster, func(ctx context.Context) error {
			now, _, err := s.Nomad.Client.Allocations().Info(server.ID, (&api.QueryOptions{}).WithContext(ctx))
			if err == nil && !strings.Contains(strings.Join(agents.EventsSince(now, "proxy", since), "\n"), "Draining") {
				err = errors.New("it does not drain yet")
			}
			return err
		})
		s.deployed(t)
	}},
	{name: "shared memory is full", do: func(t *testing.T, s *shop) {
		empty := fill(t, sharedMemory)
		defer awaitCount(t, s.Cluster, 2)
		defer s.submit(t, 2)
		isNew := s.starting(t, 3, func(context.Context, *api.Allocation) bool { return true })
		eventually(t, 20*time.Second, isNew)
		added, err := s.newest(t.Context())
		must.NoError(t, err)
		s.awaitEvent(t, added, time.Time{}, "/dev/shm is full, and Envoy needs a page of it for hot restarts")
		must.False(t, s.registered(t.Context(), added))
		empty()
		must.NoError(t, s.Nomad.AwaitDeployment(t.Context(), "shop"))
	}},
	{name: "the disk of the task's secrets is full", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		secrets, err := filepath.Glob(filepath.Join(s.Dir, "nomad/data/alloc", server.ID, "proxy/secrets"))
		must.NoError(t, err)
		must.Len(t, 1, secrets)
		empty := fill(t, secrets[0])
		defer empty()
		must.NoError(t, s.Nomad.Client.Allocations().Restart(server, "proxy", nil))
		s.awaitEvent(t, server, since, "Serving")
		s.askHotRestart(t, server)
		s.awaitEvent(t, server, since, "(SIGHUP): Envoy")
	}},
	{name: "the plugin has no free file descriptors", do: func(t *testing.T, s *shop) {
		plugin := s.Plugins()[0]
		server, since := s.server(t), time.Now()
		var before unix.Rlimit
		must.NoError(t, unix.Prlimit(plugin, unix.RLIMIT_NOFILE, nil, &before))
		must.NoError(t, unix.Prlimit(plugin, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}, nil))
		must.NoError(t, s.Nomad.Client.Allocations().Restart(server, "proxy", nil))
		s.awaitEvent(t, server, since, "too many open files")
		must.NoError(t, unix.Prlimit(plugin, unix.RLIMIT_NOFILE, &before, nil))
		s.awaitEvent(t, server, since, "Serving")
		must.MapLen(t, 1, generations(t, s.Cluster, server))
	}},
	{name: "proxy of a dead allocation left in Consul", do: func(t *testing.T, s *shop) {
		living, err := s.Consul.Proxies(t.Context())
		must.NoError(t, err)
		var dead map[string]string
		for _, proxy := range living { // whichever: they are of this machine
			dead = maps.Clone(proxy.Meta)
		}
		dead["nomad-alloc-id"] = "dead"
		must.NoError(t, s.Consul.Client.Agent().ServiceRegister(&consul.AgentServiceRegistration{
			Kind: consul.ServiceKindConnectProxy, ID: "connect-dead-sidecar-proxy", Name: "shop-sidecar-proxy", Port: 1,
			Proxy: &consul.AgentServiceConnectProxyConfig{DestinationServiceName: "shop"},
			Meta:  dead,
			Check: &consul.AgentServiceCheck{TTL: "1h", Status: "critical"},
		}))
		eventually(t, 2*time.Minute, func(ctx context.Context) error {
			proxies, err := s.Consul.Proxies(ctx)
			if err == nil && proxies["connect-dead-sidecar-proxy"] != nil {
				err = errors.New("it is still there")
			}
			return err
		})
		s.deployed(t)
	}},
}

// Whatever is interrupted, everything comes to an end that is in order.
func TestInterrupted(t *testing.T) {
	s := runShop(t)
	s.suffer(t, interruptions)
	must.NoError(t, s.PurgeJobs(t.Context()))
	nothingLeft(t, s.Cluster)
}
