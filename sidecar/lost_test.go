package sidecar_test

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// askedAgain waits until the agent was asked for a service twice more.
func (b *bench) askedAgain(id string) {
	b.t.Helper()
	again := b.consul.Reads(id) + 2
	eventually(b.t, func() bool { return b.consul.Reads(id) >= again })
}

// What Consul loses comes back when its service is there; what Nomad withdraws
// does not.
func TestSidecar_lost(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Busy)
	s, _ := b.watched()

	b.consul.Remove(proxyID)
	eventually(t, b.sawEvent("Withdrawn from Consul: connections from peers are told to leave"))
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	must.Eq(t, "passing", b.consul.Ready())
	eventually(t, b.consul.Watched)

	b.consul.Remove(proxyID)
	b.consul.Remove(webID)
	eventually(t, func() bool { return s.Status().Phase == sidecar.Draining })
	b.askedAgain(webID)
	must.Nil(t, b.consul.Proxy(), must.Sprint("its service is gone, too"))
	b.destroyed(s)
}

// A Consul that has lost everything: nobody is told to leave, and the sidecar
// comes back after its service.
func TestSidecar_dataLoss(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	parent := b.consul.Service(webID)
	s, complaints := b.watched()

	b.lose(complaints)
	eventually(t, b.sawEvent("Consul has lost its data: the sidecar stays"))
	b.askedAgain(webID)
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	must.Nil(t, b.consul.Proxy(), must.Sprint("not before its service"))

	b.consul.Add(parent)
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.Ready())
	must.False(t, b.sawEvent("told to leave")())
	b.destroyed(s)
}

func TestSidecar_dataLossStandalone(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.own.Parent, b.own.StandaloneID = nil, "web-client"
	s, complaints := b.watched()
	b.lose(complaints)
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.Ready())
	b.destroyed(s)
}

// The news that a sidecar is gone is kept until the agent has confirmed it.
func TestSidecar_lostWhileAgentIsSilent(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s, _ := b.watched()
	b.consul.Fail("GET /v1/agent/", 0)
	b.consul.Remove(proxyID)
	eventually(t, func() bool { return b.consul.Refusals() > 1 })
	must.Eq(t, sidecar.Serving, s.Status().Phase, must.Sprint("the catalog alone is not believed"))
	b.consul.Heal()
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.Ready())

	// And when it was withdrawn, that is noticed late, but it is.
	eventually(t, b.consul.Watched)
	b.consul.Fail("GET /v1/agent/", 0)
	withdrawn := b.said("Withdrawn from Consul")
	b.consul.Remove(webID)
	b.consul.Remove(proxyID)
	eventually(t, func() bool { return b.consul.Refusals() > 0 })
	b.consul.Heal()
	eventually(t, func() bool { return b.said("Withdrawn from Consul") > withdrawn })
	must.Eq(t, sidecar.Draining, s.Status().Phase)
	b.destroyed(s)
}

// An agent that has the registration still is right, and the catalog is behind.
func TestSidecar_catalogIsBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s, _ := b.watched()
	proxy := b.consul.Proxy()
	b.consul.Fail("GET /v1/agent/", 0)
	b.consul.Remove(proxy.ID)
	eventually(t, func() bool { return b.consul.Refusals() > 0 })
	b.consul.Add(proxy)
	b.consul.Heal()
	b.askedAgain(proxy.ID)
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	must.False(t, b.sawEvent("Registered again")())
	b.destroyed(s)
}

// What Consul lost while nobody watched comes back when somebody does.
func TestSidecar_lostBeforeItWasFound(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.consul.Remove(proxyID)
	again := b.attach(s.State())
	eventually(t, b.sawEvent("Registered again"))
	eventually(t, func() bool { return again.Status().Phase == sidecar.Serving })
	must.Eq(t, "passing", b.consul.Ready())
	b.destroyed(again)
}
