package mesh

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

const movedID = groupPrefix + "web-alt"

// relabel is what Nomad does when the port label of a service changes in place.
func (w *world) relabel() {
	w.consul.Remove(webProxyID)
	w.consul.Remove(webID)
	w.consul.Add(&api.AgentServiceRegistration{ID: movedID, Name: "web", Address: "127.0.0.1", Port: 8090})
}

// mustMove tells that the sidecar is found to stand before another service, and is
// registered there.
func (w *world) mustMove(o *Own) {
	w.t.Helper()
	found := look(w.t, o)
	must.Eq(w.t, sidecar.Moved, found.Presence)
	must.StrContains(w.t, found.Why, movedID+" at 127.0.0.1:8090 in place of "+webID)
	must.Eq(w.t, movedID+proxySuffix, found.Place.ID)
	must.Eq(w.t, "127.0.0.1:8090", found.Place.App.Address)
	must.Eq(w.t, found, look(w.t, o), must.Sprint("until it is told"))
	tell(w.t, o, opened)
	must.Eq(w.t, sidecar.Present, look(w.t, o).Presence)
	must.Eq(w.t, []string{movedID, movedID + proxySuffix}, w.consul.Services())
	proxy := w.consul.Proxy()
	must.Eq(w.t, 21000, proxy.Port)
	must.Eq(w.t, movedID, proxy.Proxy.DestinationServiceID)
	must.Eq(w.t, api.HealthPassing, w.consul.Ready())
}

func TestOwn_moved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	o := w.admitted()
	w.relabel()
	for w.consul.Proxy() == nil {
		<-o.News()
		if look(t, o).Presence == sidecar.Moved {
			break
		}
	}
	w.mustMove(o)

	// It hears of the new one from now on.
	eventually(t, w.consul.Watched)
	w.consul.Change(movedID, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"new"} })
	for len(w.consul.Proxy().Tags) == 0 {
		<-o.News()
		if look(t, o).Presence == sidecar.Altered {
			tell(t, o, opened)
		}
	}
}

// The registration of before goes after the new one is there, where Nomad has left it.
func TestOwn_movedAndLeftBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	proxy := w.consul.Proxy()
	w.relabel()
	w.consul.Add(proxy)
	w.mustMove(o)
}

// A plugin that was not there while the service moved does not bring the old one back.
func TestOwn_movedBeforeItWasFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.admitted().place()
	w.relabel()
	again := NewOwn(regWeb(), w.node())
	again.Rejoin(at)
	w.mustMove(again)
	farewell, err := again.Leave(t.Context())
	must.NoError(t, err)
	must.Eq(t, settle, farewell.Heard)
	must.Eq(t, []string{movedID}, w.consul.Services())
}

// A service that moves there and back keeps its sidecar, also when Nomad has left the
// registration of the first time.
func TestOwn_movedBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	proxy := w.consul.Proxy()
	w.relabel()
	w.consul.Add(proxy)
	must.Eq(t, sidecar.Moved, look(t, o).Presence)
	w.consul.Remove(movedID)
	w.register("web")
	must.Eq(t, sidecar.Moved, look(t, o).Presence)
	tell(t, o, opened)
	must.Eq(t, []string{webID, webProxyID}, w.consul.Services())
	must.Eq(t, sidecar.Present, look(t, o).Presence)
}

// An address that changed while the plugin was away is news to the life that is found.
func TestOwn_relocatedBeforeItWasFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.admitted().place()
	w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Port = 8081 })
	again := NewOwn(regWeb(), w.node())
	again.Rejoin(at)
	found := look(t, again)
	must.Eq(t, sidecar.Moved, found.Presence)
	must.Eq(t, "127.0.0.1:8081", found.Place.App.Address)
	tell(t, again, opened)
	must.Eq(t, 8081, w.consul.Proxy().Proxy.LocalServicePort)
	must.Eq(t, sidecar.Present, look(t, again).Presence)
}

// A service may be gone and be back before the next question: it has not moved.
func TestOwn_backMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.Remove(webProxyID)
	found, err := o.orphaned(t.Context())
	must.NoError(t, err)
	must.Eq(t, sidecar.Withdrawn, found.Presence)
	o.gone = o.gone.Add(-probation)
	must.Eq(t, sidecar.Lost, look(t, o).Presence)
	tell(t, o, opened)
	w.is(api.HealthPassing, readyNote)
}

// A service that is renamed has nobody before it any more, which is said once.
func TestOwn_renamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.relabel()
	w.consul.Remove(movedID)
	w.register("shop")
	must.Eq(t, sidecar.Withdrawn, look(t, o).Presence)
	must.Eq(t, 0, w.said("and the group has"), must.Sprint("it may be about to go, too"))
	o.gone = o.gone.Add(-probation)
	for range 2 {
		must.Eq(t, sidecar.Withdrawn, look(t, o).Presence)
	}
	must.Eq(t, 1, w.said(`The service "web", which the sidecar stands before, is gone, and the group has "shop"`))
}
