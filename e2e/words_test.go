package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// saysUnreachable tells whether a sidecar of the shop says, in an event or in its ready
// check, at which address nobody listens.
func (m *mesh) saysUnreachable(ctx context.Context) error {
	allocs, err := m.Nomad.Allocs(ctx, "shop")
	if err != nil || len(allocs) == 0 {
		return errors.Join(errors.New("there is no allocation"), err)
	}
	var said []string
	for _, alloc := range allocs {
		mesh, err := agents.Port(alloc, "mesh")
		if err != nil {
			return err
		}
		said = append(said, agents.Events(alloc, "proxy")...)
		if ready, err := m.readyCheck(alloc); err == nil {
			said = append(said, ready.Output)
		}
		if slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, mesh) && strings.Contains(s, "bind_address") }) {
			return nil
		}
	}
	return fmt.Errorf("nothing says that nobody listens for peers:\n%s", strings.Join(said, "\n"))
}

// silence notes ready checks that say nothing for longer than the driver takes, which
// cannot register them with an output, to give them one.
type silence struct {
	mu    sync.Mutex
	seen  int
	since map[string]time.Time
	empty []string
}

// listenFor looks at the ready checks again and again until ctx ends.
func listenFor(ctx context.Context, c *agents.Cluster) (s *silence, over <-chan struct{}) {
	s, done := &silence{since: map[string]time.Time{}}, make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			checks, err := c.Consul.Client.Agent().ChecksWithFilterOpts(`CheckID matches ":ready$"`, (&consul.QueryOptions{}).WithContext(ctx))
			if err == nil {
				s.note(checks)
			}
		}
	}()
	return s, done
}

func (s *silence) note(checks map[string]*consul.AgentCheck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, check := range checks {
		s.seen++
		if check.Output != "" {
			delete(s.since, id)
			continue
		}
		if s.since[id].IsZero() {
			s.since[id] = time.Now()
		}
		if time.Since(s.since[id]) > 100*time.Millisecond {
			s.empty = append(s.empty, fmt.Sprintf("%s, which is %s", id, check.Status))
		}
	}
}

// An app that listens on 127.0.0.1, while its service is at the host's address, is told
// of in an event that names the field to set; and the ready check always says
// something.
func TestWords_appOnLoopback(t *testing.T) {
	c := bridged(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard, over := listenFor(ctx, c)
	stall{form: ownTask, count: 1, loopback: true}.submit(t, c)
	defer tellStory(t, c, "shop")
	server := awaitRunning(t, c, "shop", "shop")
	app, err := agents.Port(server, "app")
	must.NoError(t, err)
	_, port, err := net.SplitHostPort(app)
	must.NoError(t, err)
	awaitEvent(t, c, server, "proxy", time.Time{}, "127.0.0.1:"+port)
	must.StrContains(t, taskEvents(t, c, server, "proxy", time.Time{}), "local_service_address")
	must.NoError(t, c.PurgeJobs(t.Context()))
	cancel()
	<-over
	must.Positive(t, heard.seen)
	must.SliceEmpty(t, heard.empty)
}
