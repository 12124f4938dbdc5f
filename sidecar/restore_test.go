package sidecar

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// watched starts a sidecar that serves and that the watch of its node has seen.
// What the watch complains of is given.
func (b *bench) watched() (*Sidecar, <-chan error) {
	b.startApp()
	client, err := consul.New(consul.Config{Address: b.consul.URL})
	must.NoError(b.t, err)
	complaints := make(chan error, 10)
	go b.watch.Run(b.t.Context(), client, "node", func(err error) { complaints <- err })
	s, err := b.start()
	must.NoError(b.t, err)
	eventually(b.t, func() bool { return s.Status().Phase == Serving })
	eventually(b.t, b.consul.watched)
	return s, complaints
}

// A Consul that has lost everything: nobody is told to leave, and the sidecar
// comes back after its service.
func TestSidecar_dataLoss(t *testing.T) {
	b := newBench(t, wellBehaved)
	parent := b.consul.services["_nomad-task-a1-group-g-web-http"]
	s, complaints := b.watched()

	b.consul.fail("GET /v1/catalog/") // it is away
	<-complaints
	b.consul.loseData()
	b.consul.fail("")
	eventually(t, b.sawEvent("Consul has lost its data: the sidecar stays"))
	again := b.consul.reads(s.parent.ID) + 2
	eventually(t, func() bool { return b.consul.reads(s.parent.ID) >= again })
	must.Eq(t, Serving, s.Status().Phase)
	must.Nil(t, b.consul.proxy(), must.Sprint("not before its service"))

	b.consul.add(parent)
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.ready())
	must.False(t, b.sawEvent("told to leave")())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestSidecar_dataLossStandalone(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.spec.Parent, b.spec.StandaloneID = nil, "web-client"
	s, complaints := b.watched()
	b.consul.fail("GET /v1/catalog/")
	<-complaints
	b.consul.loseData()
	b.consul.fail("")
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.ready())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// The news that a sidecar is gone is kept until the agent has confirmed it.
func TestSidecar_lostWhileAgentIsSilent(t *testing.T) {
	b := newBench(t, wellBehaved)
	s, _ := b.watched()
	b.consul.fail("GET /v1/agent/service/")
	b.consul.remove(s.Status().ProxyID)
	eventually(t, func() bool { return b.consul.refusals() > 1 })
	must.Eq(t, Serving, s.Status().Phase, must.Sprint("the catalog alone is not believed"))
	b.consul.fail("")
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, "passing", b.consul.ready())

	// And when it was withdrawn, that is noticed late, but it is.
	b.consul.fail("GET /v1/agent/service/")
	eventually(t, b.consul.watched)
	b.consul.remove(s.parent.ID)
	b.consul.remove(s.Status().ProxyID)
	eventually(t, func() bool { return b.consul.refusals() > 0 })
	b.consul.fail("")
	eventually(t, b.sawEvent("Withdrawn from Consul"))
	must.Eq(t, Draining, s.Status().Phase)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// An agent that has the registration still is right, and the catalog is behind.
func TestSidecar_catalogIsBehind(t *testing.T) {
	b := newBench(t, wellBehaved)
	s, _ := b.watched()
	proxy := b.consul.proxy()
	b.consul.fail("GET /v1/agent/service/")
	b.consul.remove(proxy.ID)
	eventually(t, func() bool { return b.consul.refusals() > 0 })
	b.consul.add(proxy)
	b.consul.fail("")
	asked := b.consul.reads(proxy.ID)
	eventually(t, func() bool { return b.consul.reads(proxy.ID) > asked })
	must.Eq(t, Serving, s.Status().Phase)
	must.False(t, b.sawEvent("Registered again")())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// After a restart of Consul's agent an alias check may be critical for a minute
// although the service is well.
func TestSidecar_aliasAfterRestart(t *testing.T) {
	b := newBench(t, wellBehaved)
	s, complaints := b.watched()
	alias := aliasCheckID(s.proxyID())
	b.consul.fail("GET /v1/catalog/")
	<-complaints
	b.consul.setCheck(alias, "critical")
	b.consul.fail("")
	eventually(t, b.sawEvent("Consul took the service for critical after its restart"))
	must.Eq(t, "passing", b.consul.check(alias))
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// What Consul lost while nobody watched comes back when somebody does.
func TestSidecar_lostBeforeItWasFound(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	b.consul.remove(s.Status().ProxyID)
	again, err := Attach(t.Context(), b.spec, s.State(), b.host())
	must.NoError(t, err)
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, Serving, again.Status().Phase)
	must.Eq(t, "passing", b.consul.ready())
	must.NoError(t, again.Destroy(t.Context()))
	b.clean()
}
