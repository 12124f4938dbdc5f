package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// takes waits until an allocation's Envoy has taken so many connections more.
func (s *shop) takes(t *testing.T, alloc *api.Allocation, more int) {
	t.Helper()
	_, pid := s.latest(t, alloc)
	before, err := connections(t.Context(), pid)
	must.NoError(t, err)
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		if _, current := s.latest(t, alloc); current != pid { // a generation counts for itself
			pid, before = current, 0
		}
		now, err := connections(ctx, pid)
		if err == nil && now < before+more {
			err = fmt.Errorf("Envoy %d has taken %d connections of %d", pid, now-before, more)
		}
		return err
	})
}

var connectionCount = regexp.MustCompile(`(?m)^tcp\..*: (\d+)$`)

// connections are those that an Envoy has taken since it was started.
func connections(ctx context.Context, pid int) (sum int, err error) {
	stats, err := agents.AskEnvoy(ctx, pid, `/stats?filter=^tcp\..*\.downstream_cx_total$`)
	if err != nil {
		return 0, err
	}
	for _, count := range connectionCount.FindAllSubmatch(stats, -1) {
		n, err := strconv.Atoi(string(count[1]))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// staysUp waits until an allocation's Envoy, and no other in its place, has been up
// for so long.
func (s *shop) staysUp(t *testing.T, alloc *api.Allocation, long time.Duration) {
	t.Helper()
	_, pid := s.latest(t, alloc)
	eventually(t, long+10*time.Second, func(ctx context.Context) error {
		answer, err := agents.AskEnvoy(ctx, pid, "/server_info")
		if err != nil {
			return err
		}
		var info struct {
			Uptime string `json:"uptime_current_epoch"`
		}
		if err := json.Unmarshal(answer, &info); err != nil {
			return fmt.Errorf("Envoy %d says %s: %w", pid, answer, err)
		}
		if up, err := time.ParseDuration(info.Uptime); err != nil || up < long {
			return fmt.Errorf("Envoy %d has been up for %q of %s", pid, info.Uptime, long)
		}
		return nil
	})
}
