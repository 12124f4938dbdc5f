package sidecar_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/fake"
)

// trouble is something that fails again and again.
type trouble struct {
	doing string
	begin func(b *bench) (tries func() int, heal func())
}

// tries counts the requests that Consul refused, and heals it.
func (b *bench) refusals() (func() int, func()) { return b.consul.Refusals, b.consul.Heal }

var troubles = map[string]trouble{
	"a look": {"ask the mesh what has become of it", func(b *bench) (func() int, func()) {
		b.consul.Fail("GET /v1/agent/", 0)
		b.consul.Change(proxyID, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
		return b.refusals()
	}},
	"what is told": {"tell the mesh how it is", func(b *bench) (func() int, func()) {
		b.consul.Fail("PUT /v1/agent/", 0)
		b.consul.SetCheck(proxyID+":ready", "critical")
		return b.refusals()
	}},
	"the node's files": {"read what it is started with", func(b *bench) (func() int, func()) {
		var tries atomic.Int32
		b.change(func(n *node) {
			n.changed = func() (bool, error) { tries.Add(1); return false, errors.New("no token") }
		})
		return func() int { return int(tries.Load()) }, func() {
			b.change(func(n *node) { n.changed = nil })
		}
	}},
	"what a hot restart is compared with": {"see whether a hot restart is needed", func(b *bench) (func() int, func()) {
		var tries atomic.Int32
		good := b.now()
		b.change(func(n *node) {
			n.settings = func() (envoy.Settings, error) { tries.Add(1); return envoy.Settings{}, errors.New("no Envoy") }
		})
		b.consul.Change(proxyID, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
		return func() int { return int(tries.Load()) }, func() { b.change(func(n *node) { *n = good }) }
	}},
}

// What fails for a while the user hears of once, when it has lasted, and of its end.
func TestSidecar_trouble(t *testing.T) {
	t.Parallel()
	for name, tc := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			b.timing.Patience, b.timing.FailedMax = 500*time.Millisecond, 100*time.Millisecond
			s, _ := b.watched()
			eventually(t, b.consul.HealthWatched)
			began := time.Now()
			tries, heal := tc.begin(b)
			lasts, over := "Could not "+tc.doing+" since ", "Could "+tc.doing+" again, after "
			eventually(t, b.sawEvent(lasts))
			must.GreaterEq(t, b.timing.Patience, time.Since(began))
			again := tries() + 5
			eventually(t, func() bool { return tries() >= again })
			must.Eq(t, 1, b.said(lasts))
			must.Eq(t, 0, b.logged("could not "+tc.doing+", will try again"), must.Sprint("that is for who debugs"))
			must.Eq(t, 0, b.said(over))

			heal()
			eventually(t, b.sawEvent(over))
			must.Eq(t, 1, b.said(lasts))
			must.Eq(t, 1, b.said(over))
			b.destroyed(s)
		})
	}
}

// What is over before anybody has lost patience the user does not hear of.
func TestSidecar_troubleIsShort(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.timing.Patience = time.Hour
	s, _ := b.watched()
	eventually(t, b.consul.HealthWatched)
	b.consul.Fail("PUT /v1/agent/", 0)
	b.consul.SetCheck(proxyID+":ready", "critical")
	eventually(t, func() bool { return b.consul.Refusals() > 3 })
	b.consul.Heal()
	eventually(t, func() bool { return b.consul.Ready() == "passing" })
	must.Eq(t, 0, b.said("Could "))
	b.destroyed(s)
}
