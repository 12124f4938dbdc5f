package sidecar_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// A change that is in no hurry is taken up within the time that the operator sets, with
// all that come until then.
func TestLater(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.spread = func() (time.Duration, bool) { return 2 * time.Second, false }
	s, _ := b.watched()
	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	eventually(t, b.sawEvent("(its bootstrap has changed), as the operator has such changes spread over 2s; `nomad alloc signal -s SIGHUP` does it now"))
	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "8s"})
	eventually(t, b.sawEvent("Hot restart 1 (its bootstrap has changed)"))
	must.Eq(t, 1, b.said("A hot restart is to follow at"))
	must.Eq(t, 1, s.Status().Epoch)
	b.destroyed(s)
}

// A change that is taken back until then is none.
func TestLater_takenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.spread = func() (time.Duration, bool) { return time.Hour, false }
	s, _ := b.watched()
	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	eventually(t, b.sawEvent("A hot restart is to follow at"))
	b.consul.SetCentral(nil)
	eventually(t, b.sawEvent("No hot restart any more: what had changed is as before"))
	must.Eq(t, 0, s.Status().Epoch)
	b.destroyed(s)
}

// The operator may leave it to the next start, or to a signal.
func TestLater_never(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.spread = func() (time.Duration, bool) { return 0, true }
	s, _ := b.watched()
	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	eventually(t, b.sawEvent("No hot restart (its bootstrap has changed): the operator leaves that to the next start"))
	b.restarted(s)
	b.mustSay("Hot restart 1 (SIGHUP)")
	b.destroyed(s)
}
