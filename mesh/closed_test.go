package mesh

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

var killed = sidecar.Standing{Process: opened.Process, Why: "Envoy was killed"}

// A sidecar that somebody looks after is not reaped by Consul, however long it is closed.
func TestOwn_closedForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	must.Eq(t, deregisterAfter, w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter)
	tell(t, o, killed)
	must.Eq(t, "", w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter)
	must.Eq(t, 21000, w.consul.Proxy().Port)
	w.is(api.HealthCritical, "Envoy was killed")
	asked := w.asked()
	tell(t, o, killed)
	must.Eq(t, asked+1, w.asked())

	tell(t, o, opened)
	must.Eq(t, deregisterAfter, w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter)
	again := NewOwn(regWeb(), w.node())
	again.Rejoin(o.place())
	look(t, again)
	tell(t, again, killed)
	must.Eq(t, "", w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter, must.Sprint("as an earlier life had it"))
}

// A sidecar that was withdrawn is not brought back by being closed.
func TestOwn_closedAndWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.Remove(webProxyID)
	tell(t, o, killed)
	must.Nil(t, w.consul.Proxy())
}

// A sidecar that Consul has lost is brought back also while it is closed.
func TestOwn_lostWhileClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	tell(t, o, killed)
	w.consul.Remove(webProxyID)
	must.Eq(t, sidecar.Withdrawn, look(t, o).Presence)
	o.gone = o.gone.Add(-probation)
	must.Eq(t, sidecar.Lost, look(t, o).Presence)
	tell(t, o, killed)
	w.is(api.HealthCritical, "Envoy was killed")
	must.Eq(t, sidecar.Present, look(t, o).Presence)
}

// Of a service that was not looked at yet nothing is registered.
func TestOwn_toldBeforeItWasLooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Weights = &api.AgentWeights{Passing: 10, Warning: 3} })
	o := w.admitted()
	before := w.consul.Proxy()
	again := NewOwn(regWeb(), w.node())
	again.Rejoin(o.place())
	for _, s := range []sidecar.Standing{killed, opened} {
		tell(t, again, s)
		must.Eq(t, before, w.consul.Proxy())
	}
	w.is(api.HealthPassing, readyNote)

	// Nor of one whose sidecar is gone.
	w.consul.Remove(webProxyID)
	look(t, again)
	again.gone = again.gone.Add(-probation)
	must.Eq(t, sidecar.Lost, look(t, again).Presence)
	tell(t, again, opened)
	must.Eq(t, 8080, w.consul.Proxy().Proxy.LocalServicePort)
	must.Eq(t, *before.Weights, *w.consul.Proxy().Weights)
}
