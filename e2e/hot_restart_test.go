package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// allocs are the allocations of the shop and of the shopper.
func (s *shop) allocs(t *testing.T) []*api.Allocation {
	t.Helper()
	servers, err := s.Nomad.Running(t.Context(), "shop", "shop")
	must.NoError(t, err)
	return append(servers, awaitRunning(t, s.Cluster, "shopper", "shopper"))
}

// askHotRestart asks for the hot restart of one sidecar.
func (s *shop) askHotRestart(t *testing.T, alloc *api.Allocation) {
	t.Helper()
	must.NoError(t, s.Nomad.Client.Allocations().Signal(alloc, nil, "proxy", "SIGHUP"))
}

// hotRestart restarts the Envoys of all sidecars, and waits until the old ones
// have left.
func (s *shop) hotRestart(t *testing.T) {
	t.Helper()
	since := time.Now()
	allocs := s.allocs(t)
	for _, alloc := range allocs {
		s.askHotRestart(t, alloc)
	}
	for _, alloc := range allocs {
		s.awaitEvent(t, alloc, since, "(SIGHUP): Envoy")
		s.awaitEvent(t, alloc, since, "has left: it exited with status 0")
	}
}

// failsAndServes wants a hot restart that fails for a reason, and another that
// does not once the reason is gone.
func (s *shop) failsAndServes(t *testing.T, reason string, mend func()) {
	t.Helper()
	defer s.hotRestart(t)
	defer mend()
	server, since := s.server(t), time.Now()
	s.askHotRestart(t, server)
	s.awaitEvent(t, server, since, "Hot restart failed (SIGHUP)")
	s.awaitEvent(t, server, since, reason)
}

func (s *shop) installTool(t *testing.T, name string) {
	t.Helper()
	bin, err := filepath.Abs(*tools)
	must.NoError(t, err)
	must.NoError(t, s.InstallEnvoy(filepath.Join(bin, name)))
}

// setProxyDefaults gives all proxies a configuration, and nil takes it away.
func (s *shop) setProxyDefaults(t *testing.T, config map[string]any) {
	t.Helper()
	entries := s.Consul.Client.ConfigEntries()
	var err error
	if config == nil {
		_, err = entries.Delete(consul.ProxyDefaults, consul.ProxyConfigGlobal, nil)
	} else {
		_, _, err = entries.Set(&consul.ProxyConfigEntry{Kind: consul.ProxyDefaults, Name: consul.ProxyConfigGlobal, Config: config}, nil)
	}
	must.NoError(t, err)
	eventually(t, 20*time.Second, func(ctx context.Context) error { // the agent hears of it a little later
		proxies, err := s.Consul.Proxies(ctx)
		if err != nil {
			return err
		}
		for id := range proxies {
			svc, _, err := s.Consul.Client.Agent().Service(id, (&consul.QueryOptions{}).WithContext(ctx))
			if err != nil {
				return err
			}
			for key := range entryKeys {
				if _, has := svc.Proxy.Config[key]; has != (config[key] != nil) {
					return fmt.Errorf("%s has the key %s: %t", id, key, has)
				}
			}
		}
		return nil
	})
}

// entryKeys are those that the tests set in proxy-defaults.
var entryKeys = map[string]bool{"envoy_tracing_json": true, "envoy_stats_flush_interval": true, "envoy_prometheus_bind_addr": true}

// dyingEnvoy is an Envoy for those who ask for its version or let it validate,
// and dies when it is to run.
const dyingEnvoy = `#!/bin/sh
case "$*" in
  *--version* | *validate*) exec %q "$@" ;;
esac
exit 3
`

// deafEnvoy does not hear SIGTERM; another process of its group is the Envoy.
const deafEnvoy = `#!/bin/sh
case "$*" in
  *--version* | *validate*) exec %q "$@" ;;
esac
trap "" TERM
%[1]q "$@"
`

// installScript puts a script in Envoy's place, which is given the true one.
func (s *shop) installScript(t *testing.T, text string) {
	t.Helper()
	bin := filepath.Join(s.Dir, "true-envoy")
	if _, err := os.Stat(bin); err != nil {
		tool, err := filepath.Abs(filepath.Join(*tools, "envoy"))
		must.NoError(t, err)
		content, err := os.ReadFile(tool)
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(bin, content, 0o755))
	}
	script := filepath.Join(s.Dir, "script-envoy")
	must.NoError(t, os.WriteFile(script, fmt.Appendf(nil, text, bin), 0o755))
	must.NoError(t, s.InstallEnvoy(script))
}

var hotRestartFaults = []fault{
	{name: "hot restart of both sides, 4 times", do: func(t *testing.T, s *shop) {
		for range 4 { // Envoy has names for three generations
			s.hotRestart(t)
		}
	}},
	{name: "Envoy upgraded and back by hot restart", do: func(t *testing.T, s *shop) {
		defer func() {
			if t.Failed() { // else it is there already, and would be another file once more
				s.installTool(t, "envoy")
			}
		}()
		for _, to := range []struct{ tool, serves string }{{"envoy-1.40", "has changed): Envoy 1.40."}, {"envoy", "(SIGHUP): Envoy 1.36."}} {
			since, allocs := time.Now(), s.allocs(t)
			s.installTool(t, to.tool)
			for _, alloc := range allocs {
				if strings.Contains(to.serves, "SIGHUP") { // as an operator asks who does not wait until it is looked for
					s.askHotRestart(t, alloc)
				}
			}
			for _, alloc := range allocs {
				s.awaitEvent(t, alloc, since, to.serves)
				s.awaitEvent(t, alloc, since, "has left: it exited with status 0")
			}
		}
	}},
	{name: "central configuration changed", do: func(t *testing.T, s *shop) {
		since := time.Now()
		// Another than the time before, which may not have been taken back everywhere yet.
		interval := 5*time.Second + rand.N(10*time.Second).Truncate(time.Millisecond)
		s.setProxyDefaults(t, map[string]any{"envoy_stats_flush_interval": interval.String()})
		defer s.setProxyDefaults(t, nil)
		for _, alloc := range s.allocs(t) {
			s.awaitEvent(t, alloc, since, "(its bootstrap has changed): Envoy")
			s.awaitEvent(t, alloc, since, "has left: it exited with status 0")
		}
	}},
	{name: "new generation with a bad bootstrap", do: func(t *testing.T, s *shop) {
		s.setProxyDefaults(t, map[string]any{"envoy_tracing_json": `{"nonsense": true}`})
		s.failsAndServes(t, "has no field", func() { s.setProxyDefaults(t, nil) })
		s.setProxyDefaults(t, map[string]any{"envoy_tracing_json": `{"http": {"name": "x", "typedConfig": {"@type": "type.googleapis.com/x.Y"}}}`})
		s.failsAndServes(t, "it refuses the bootstrap", func() { s.setProxyDefaults(t, nil) })
	}},
	{name: "new generation without a binary", do: func(t *testing.T, s *shop) {
		must.NoError(t, os.Remove(s.Envoy()))
		s.failsAndServes(t, "there is no Envoy at", func() { s.installTool(t, "envoy") })
	}},
	{name: "new generation that dies in init", do: func(t *testing.T, s *shop) {
		s.installScript(t, dyingEnvoy)
		s.failsAndServes(t, "Envoy exited with status 3 before it was ready", func() { s.installTool(t, "envoy") })
	}},
	{name: "new generation killed in init", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		epoch, _ := s.latest(t, server)
		s.askHotRestart(t, server)
		must.NoError(t, syscall.Kill(s.awaitGeneration(t, server, epoch+1), syscall.SIGKILL))
		s.awaitEvent(t, server, since, "was killed by signal 9 (SIGKILL) before it was ready")
		s.hotRestart(t)
	}},
	{name: "leaving generation killed", do: func(t *testing.T, s *shop) {
		server, since := s.server(t), time.Now()
		_, old := s.latest(t, server)
		defer s.hold(t, server)() // else it may leave before it is killed
		s.askHotRestart(t, server)
		s.awaitEvent(t, server, since, "(SIGHUP): Envoy")
		must.NoError(t, syscall.Kill(old, syscall.SIGKILL))
		s.awaitEvent(t, server, since, "has left: it was killed by signal 9")
		s.staysUp(t, server, 12*time.Second) // one that does not reach its parent aborts after ten
		s.hotRestart(t)
	}},
	{name: "plugin killed in a hot restart", do: func(t *testing.T, s *shop) {
		server := s.server(t)
		epoch, _ := s.latest(t, server)
		s.askHotRestart(t, server)
		killPlugin(t, s.Cluster, func(context.Context) error {
			if generations(t, s.Cluster, server)[epoch+1] == 0 {
				return errors.New("there is no new generation yet")
			}
			return nil
		})
		// Nobody may have been there to tell of it: a Nomad that was itself restarted
		// needs a second or two to miss its plugin.
		eventually(t, 30*time.Second, func(context.Context) error {
			if now := generations(t, s.Cluster, server); len(now) != 1 || now[epoch+1] == 0 {
				return fmt.Errorf("generation %d is not alone: %v", epoch+1, now)
			}
			return nil
		})
		s.obeys(t)
		s.hotRestart(t)
	}},
}

// A hot restart is noticed by nobody, whatever becomes of it.
func TestHotRestart(t *testing.T) {
	s := runShop(t)
	s.suffer(t, hotRestartFaults)
	for _, alloc := range s.allocs(t) {
		must.NoError(t, s.Nomad.Client.Allocations().Signal(alloc, nil, "proxy", "SIGUSR1"), must.Sprint("signals still work"))
	}
	must.NoError(t, s.PurgeJobs(t.Context()))
	nothingLeft(t, s.Cluster)
}

// hold keeps a connection to the sidecar of a server until it is given back, so that the
// generation that has it does not leave before its time.
func (s *shop) hold(t *testing.T, server *api.Allocation) (release func()) {
	t.Helper()
	address, err := agents.Port(server, "mesh")
	must.NoError(t, err)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	must.NoError(t, err)
	return func() { _ = conn.Close() }
}

// generations are the PIDs of the Envoys of an allocation, by their epochs.
func generations(t *testing.T, c *agents.Cluster, alloc *api.Allocation) map[int]int {
	t.Helper()
	found := map[int]int{}
	for _, pid := range c.Processes("envoy") {
		cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // none of one that has ended
		_, after, ok := strings.Cut(string(args), "--restart-epoch\x00")
		if !ok || !strings.Contains(cwd, alloc.ID) {
			continue
		}
		epoch, err := strconv.Atoi(after[:strings.IndexByte(after, 0)])
		must.NoError(t, err)
		found[epoch] = pid
	}
	return found
}

// latest is the highest epoch of an allocation's Envoys, and its PID.
func (s *shop) latest(t *testing.T, alloc *api.Allocation) (epoch, pid int) {
	t.Helper()
	found := generations(t, s.Cluster, alloc)
	must.Positive(t, len(found))
	epoch = slices.Max(slices.Collect(maps.Keys(found)))
	return epoch, found[epoch]
}

// awaitGeneration waits until there is an Envoy of that epoch, and gives its PID.
func (s *shop) awaitGeneration(t *testing.T, alloc *api.Allocation, epoch int) (pid int) {
	t.Helper()
	eventually(t, 20*time.Second, func(context.Context) error {
		if pid = generations(t, s.Cluster, alloc)[epoch]; pid == 0 {
			return fmt.Errorf("there is no generation %d", epoch)
		}
		return nil
	})
	return pid
}
