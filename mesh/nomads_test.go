package mesh

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

const (
	aliasID     = "service:" + webProxyID + ":1"
	listeningID = "service:" + webProxyID + ":2"
)

// native registers what Nomad does of a sidecar, again with any update of the job.
func (w *world) native(tags ...string) {
	w.consul.Add(&api.AgentServiceRegistration{
		Kind: api.ServiceKindConnectProxy, ID: webProxyID, Name: "web-sidecar-proxy", Address: "10.0.0.1", Port: 21000, Tags: tags,
		Proxy:  &api.AgentServiceConnectProxyConfig{DestinationServiceName: "web", DestinationServiceID: webID},
		Checks: api.AgentServiceChecks{{Name: aliasingCheck + webID, AliasService: webID}, {Name: listeningCheck, TCP: "10.0.0.1:21000", Interval: "10s"}},
	})
}

func (w *world) dropIn() *Nomads {
	w.t.Helper()
	w.native()
	n := NewNomads(NomadsRegistration{ID: webProxyID, Source: "secrets/envoy_bootstrap.json"}, w.node())
	at, err := n.Join(w.t.Context())
	must.NoError(w.t, err)
	must.Eq(w.t, sidecar.Address{}, at.Peers, must.Sprint("that is Nomad's to say"))
	return n
}

// servingDropIn is one whose service is well, and open to peers.
func (w *world) servingDropIn() *Nomads {
	w.t.Helper()
	w.register("web", &api.AgentServiceCheck{CheckID: "up", Name: "up", TTL: "1h", Status: api.HealthPassing})
	n := w.dropIn()
	look(w.t, n)
	tell(w.t, n, opened)
	must.Eq(w.t, all(api.HealthPassing), w.statuses())
	return n
}

// statuses are those of the three checks, the ready check last.
func (w *world) statuses() [3]string {
	return [3]string{w.consul.CheckStatus(aliasID), w.consul.CheckStatus(listeningID), w.consul.CheckStatus(webReadyID)}
}

func all(status string) [3]string { return [3]string{status, status, status} }

// Nomad's registration of a sidecar is as open as the driver says, also while it is
// made again.
func TestNomads_registeredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	n := w.dropIn()
	tell(t, n, sidecar.Standing{Why: "Envoy is not ready yet"})
	must.Eq(t, all(api.HealthCritical), w.statuses())
	w.is(api.HealthCritical, "Envoy is not ready yet")
	w.native("closed")
	must.Eq(t, api.HealthCritical, w.consul.CheckStatus(listeningID), must.Sprint("it is closed without the ready check, too"))
	follow(t, n, sidecar.Standing{Why: "Envoy is not ready yet"})
	must.Eq(t, all(api.HealthCritical), w.statuses())

	tell(t, n, opened)
	must.Eq(t, all(api.HealthPassing), w.statuses())
	must.Eq(t, "ttl", w.consul.Check(aliasID).Type)
	must.Eq(t, sidecar.Present, look(t, n).Presence)
	w.native("open")
	must.Eq(t, [3]string{api.HealthPassing, api.HealthPassing, ""}, w.statuses(), must.Sprint("peers stay"))
	must.Eq(t, "", follow(t, n, opened).Held)
	must.Eq(t, all(api.HealthPassing), w.statuses())
	must.Eq(t, "ttl", w.consul.Check(listeningID).Type)
	must.Eq(t, sidecar.Present, look(t, n).Presence)

	requests := w.asked()
	tell(t, n, opened)
	must.Eq(t, requests+1, w.asked(), must.Sprint("a renewal is one request"))
	farewell, err := n.Leave(t.Context())
	must.NoError(t, err)
	must.Eq(t, settle+mergeWindow, farewell.Heard)
	must.Eq(t, all(api.HealthCritical), w.statuses())
}

// The service's checks are followed as by a registration of ours.
func TestNomads_followsChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.servingDropIn()
	w.consul.SetOutput("up", api.HealthCritical, "it is down")
	must.Eq(t, `the service's check "up" is critical: it is down`, follow(t, n, opened).Held)
	must.Eq(t, all(api.HealthCritical), w.statuses())

	// The next life of the plugin takes it up as it is.
	w.consul.SetOutput("up", api.HealthPassing, "it is up")
	again := NewNomads(n.reg, n.Node)
	again.Rejoin(sidecar.Place{})
	follow(t, again, opened)
	must.Eq(t, all(api.HealthPassing), w.statuses())
	w.consul.SetOutput("up", api.HealthCritical, "it is down")
	follow(t, again, opened)
	must.Eq(t, all(api.HealthCritical), w.statuses())
}

// A check of the service that is replaced by another one takes no peers away: Nomad's
// alias is not run any more.
func TestNomads_checkReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.servingDropIn()
	w.register("web", &api.AgentServiceCheck{CheckID: "new", Name: "new", HTTP: "http://127.0.0.1/", Interval: "10s"})
	must.Eq(t, all(api.HealthPassing), w.statuses())
}

// A check of Nomad's that is gone before ours is in its place is not forgotten.
func TestNomads_replacedHalfWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.dropIn()
	w.consul.Fail("PUT /v1/agent/check/register", 0)
	w.consul.AddCheck(api.AgentCheck{CheckID: webReadyID, ServiceID: webProxyID, Status: api.HealthCritical, Type: "ttl"})
	_, err := n.Tell(t.Context(), opened)
	must.ErrorContains(t, err, "register the check "+aliasID)
	must.Nil(t, w.consul.Check(aliasID))
	must.Eq(t, sidecar.Altered, look(t, n).Presence)
	_, err = n.Tell(t.Context(), opened)
	must.Error(t, err)
	w.consul.Heal()
	follow(t, n, opened)
	must.Eq(t, all(api.HealthPassing), w.statuses())
	must.Eq(t, sidecar.Present, look(t, n).Presence)
	tell(t, n, sidecar.Standing{Why: "Envoy was killed"})
	must.Eq(t, all(api.HealthCritical), w.statuses())
}

// Checks that others added to Nomad's registration stay.
func TestNomads_leavesOthersChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.dropIn()
	tell(t, n, opened)
	w.consul.AddCheck(api.AgentCheck{CheckID: api.ServiceMaintPrefix + webProxyID, Notes: "works", ServiceID: webProxyID, Status: api.HealthCritical, Type: "maintenance"})
	follow(t, n, opened)
	w.is(api.HealthPassing, readyNote+"; the sidecar is in maintenance: works")
	must.NotNil(t, w.consul.Check(api.ServiceMaintPrefix+webProxyID))
}
