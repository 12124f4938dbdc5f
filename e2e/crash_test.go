package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// crash kills the Envoy of one sidecar, and gives the moment, when another serves in
// the same task. A sidecar that may have lost one within the last minute is started
// anew before: the second would be the task's end.
func (s *shop) crash(t *testing.T, alloc *api.Allocation) time.Time {
	t.Helper()
	if time.Since(s.crashed[alloc.ID]) < time.Minute {
		since := time.Now()
		must.NoError(t, s.Nomad.Client.Allocations().Restart(alloc, "proxy", nil))
		s.awaitEvent(t, alloc, since, "is ready in")
		s.sidecars(t)
	}
	s.noteCrash(alloc)
	return crash(t, s.Cluster, alloc, "proxy")
}

func (s *shop) noteCrash(alloc *api.Allocation) {
	if s.crashed == nil {
		s.crashed = map[string]time.Time{}
	}
	s.crashed[alloc.ID] = time.Now()
}

func crash(t *testing.T, c *agents.Cluster, alloc *api.Allocation, task string) time.Time {
	t.Helper()
	since := time.Now()
	killed := killEnvoys(t, c, alloc)
	at := time.Now()
	awaitEvent(t, c, alloc, task, since, "Envoy was killed by signal 9 (SIGKILL)")
	awaitEvent(t, c, alloc, task, since, "serves again")
	awaitSuccessor(t, c, alloc, killed)
	must.StrNotContains(t, taskEvents(t, c, alloc, task, since), "Exit Code", must.Sprint("it is not Nomad's business the first time"))
	return at
}

// killEnvoys kills all generations of a sidecar, and gives their PIDs.
func killEnvoys(t *testing.T, c *agents.Cluster, alloc *api.Allocation) map[int]bool {
	t.Helper()
	killed := map[int]bool{}
	for _, pid := range generations(t, c, alloc) {
		must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		killed[pid] = true
	}
	must.MapNotEmpty(t, killed)
	eventually(t, 5*time.Second, func(context.Context) error { // until then it accepts connections
		for pid := range killed {
			if syscall.Kill(pid, 0) == nil {
				return fmt.Errorf("process %d has not ended", pid)
			}
		}
		return nil
	})
	return killed
}

// awaitSuccessor waits until another Envoy serves alone, and Consul says so.
func awaitSuccessor(t *testing.T, c *agents.Cluster, alloc *api.Allocation, killed map[int]bool) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		now := slices.Collect(maps.Values(generations(t, c, alloc)))
		if len(now) != 1 || killed[now[0]] {
			return fmt.Errorf("the Envoys are %v", now)
		}
		healthy, err := c.Consul.Healthy(ctx)
		for id := range healthy {
			if strings.Contains(id, alloc.ID) {
				return nil
			}
		}
		return errors.Join(errors.New("no healthy sidecar in Consul"), err)
	})
}

// taskEvents are those of a task since a time.
func taskEvents(t *testing.T, c *agents.Cluster, alloc *api.Allocation, task string, since time.Time) string {
	t.Helper()
	now, _, err := c.Nomad.Client.Allocations().Info(alloc.ID, nil)
	must.NoError(t, err)
	return strings.Join(agents.EventsSince(now, task, since), "\n")
}

// A second crash within a minute is the end of the task, and Nomad's business.
func TestCrash_twice(t *testing.T) {
	s := runShop(t)
	server := s.server(t)
	s.crash(t, server)
	since := time.Now()
	underLoad(t, agents.AskEcho(s.upstream), "second SIGKILL of an Envoy within a minute", 300*time.Millisecond, func() {
		killEnvoys(t, s.Cluster, server)
		s.awaitEvent(t, server, since, "Exit Code: 137, Signal: 9")
		s.awaitEvent(t, server, since, "Serving")
	})
	s.sidecars(t)
	must.MapLen(t, 1, generations(t, s.Cluster, server))
}
