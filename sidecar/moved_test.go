package sidecar_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// misplaced is a member whose peers are told another address.
type misplaced struct {
	sidecar.Member
	peers sidecar.Address
}

func (m misplaced) Join(ctx context.Context) (sidecar.Place, error) {
	at, err := m.Member.Join(ctx)
	at.Peers = m.peers
	return at, err
}

// mover is a member that has moved when it is looked at, once.
type mover struct {
	sidecar.Member
	to   sidecar.Place
	when *atomic.Bool
}

func (m *mover) Look(ctx context.Context) (sidecar.Finding, error) {
	if m.when.CompareAndSwap(true, false) {
		return sidecar.Finding{Presence: sidecar.Moved, Why: "The service is at another port", Place: m.to}, nil
	}
	return m.Member.Look(ctx)
}

// A proxy goes on from another place, and is told peers of only when the app is there.
func TestMoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	m := mover{when: &atomic.Bool{}}
	b.wrap = func(inner sidecar.Member) sidecar.Member { m.Member = inner; return &m }
	s, _ := b.watched()
	eventually(t, b.consul.HealthWatched)
	m.to = s.Status().Place
	m.to.App.Address = "127.0.0.1:1"
	m.when.Store(true)
	b.consul.SetCheck(proxyID+":ready", "critical") // reason to look
	eventually(t, func() bool { return s.Status().Place.App == m.to.App })
	b.mustSay("The service is at another port")
	eventually(t, func() bool {
		return b.consul.Check(proxyID+":ready").Output == "the local service does not accept connections at 127.0.0.1:1 yet"
	})
	must.Eq(t, "critical", b.consul.Ready())
	b.destroyed(s)
}
