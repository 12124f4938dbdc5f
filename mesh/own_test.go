package mesh

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// The only check of a sidecar says at any time why it is as it is.
func TestOwn_join(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.joined()
	w.is(api.HealthCritical, "the proxy is being started")
	must.Len(t, 1, w.consul.Proxy().Checks)
	must.Eq(t, sidecar.Address{Network: "tcp", Address: "10.0.0.1:21000"}, o.place().Peers)
	tell(t, o, sidecar.Standing{Why: "Envoy is not ready yet"})
	w.is(api.HealthCritical, "Envoy is not ready yet")
	tell(t, o, sidecar.Standing{Open: true, Why: "nobody reaches 10.0.0.1"})
	w.is(api.HealthWarning, "nobody reaches 10.0.0.1")
}

// The sidecar is as well as the service's checks are, which Consul says.
func TestOwn_followsChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	w.register("web", &api.AgentServiceCheck{CheckID: "up", Name: "is it up", HTTP: "http://127.0.0.1:8080", Interval: "10s", Status: api.HealthPassing})
	o := w.admitted()
	must.Eq(t, deregisterAfter, w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter)

	w.consul.SetOutput("up", api.HealthCritical, "HTTP GET: 503\nand more")
	reply := follow(t, o, opened)
	const why = `the service's check "is it up" is critical: HTTP GET: 503`
	must.Eq(t, why, reply.Held)
	must.GreaterEq(t, renewLeast, reply.Again, must.Sprint("the watch tells when it is better"))
	w.is(api.HealthCritical, why)
	must.Eq(t, 21000, w.consul.Proxy().Port)
	must.Eq(t, "", w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter, must.Sprint("it may take its time"))
	asked := w.asked()
	must.Eq(t, why, tell(t, o, opened).Held)
	must.Eq(t, asked+1, w.asked(), must.Sprint("a renewal is one request"))

	w.consul.SetOutput("up", api.HealthWarning, "HTTP GET: 429")
	must.Eq(t, "", follow(t, o, opened).Held)
	w.is(api.HealthWarning, `the service's check "is it up" is warning: HTTP GET: 429`)
	w.consul.SetOutput("up", api.HealthPassing, "HTTP GET: 200")
	follow(t, o, opened)
	w.is(api.HealthPassing, readyNote)
	must.Eq(t, deregisterAfter, w.consul.Proxy().Checks[0].DeregisterCriticalServiceAfter)

	tell(t, o, sidecar.Standing{Why: "Envoy was killed"})
	w.is(api.HealthCritical, "Envoy was killed")
}

// The checks of a service of which no news come, as with a token that may not see it, are
// read anew whenever Consul is told.
func TestOwn_followsChecksWithoutNews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.register("web", &api.AgentServiceCheck{CheckID: "up", Name: "is it up", HTTP: "http://127.0.0.1:8080", Interval: "10s", Status: api.HealthPassing})
	o := w.admitted()
	must.Eq(t, rereadLeast, tell(t, o, opened).Again)
	w.consul.SetOutput("up", api.HealthCritical, "HTTP GET: 503")
	must.StrContains(t, tell(t, o, opened).Held, "HTTP GET: 503")
	w.consul.SetOutput("up", api.HealthPassing, "HTTP GET: 200")
	must.Eq(t, "", tell(t, o, opened).Held)
	w.is(api.HealthPassing, readyNote)

	w.watched()
	must.True(t, w.watch.Follows(webID))
	must.False(t, w.watch.Follows(webID+"-of-another-namespace"))
	must.Eq(t, renewLeast, tell(t, o, opened).Again)
}

// Checks that others added stay whenever it is registered again, and maintenance is named.
func TestOwn_leavesOthersChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.AddCheck(api.AgentCheck{CheckID: api.ServiceMaintPrefix + webProxyID, Notes: "works on it", ServiceID: webProxyID, Status: api.HealthCritical, Type: "maintenance"})
	w.consul.AddCheck(api.AgentCheck{CheckID: "disk", ServiceID: webProxyID, Status: api.HealthPassing, Type: "ttl"})
	must.Eq(t, "", follow(t, o, opened).Held)
	const note = readyNote + "; the sidecar is in maintenance: works on it"
	w.is(api.HealthPassing, note)

	next := opened
	next.Process.PID++
	tell(t, o, next)
	must.Eq(t, "8", w.consul.Proxy().Meta[metaPID])
	tokens := o.Consul.Tokens()
	tokens.Task = "new"
	o.Consul.SetTokens(tokens)
	follow(t, o, next)
	must.Eq(t, "new", w.consul.Registrar())
	must.NotNil(t, w.consul.Check(api.ServiceMaintPrefix+webProxyID))
	must.NotNil(t, w.consul.Check("disk"))
	w.is(api.HealthPassing, note)

	w.consul.AddCheck(api.AgentCheck{CheckID: api.ServiceMaintPrefix + webID, ServiceID: webID, Status: api.HealthCritical, Type: "maintenance"})
	follow(t, o, next)
	w.is(api.HealthCritical, "the service is in maintenance: no reason is given; the sidecar is in maintenance: works on it")
}

// A node in maintenance is critical by itself, and named once.
func TestOwn_nodeInMaintenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.AddCheck(api.AgentCheck{CheckID: api.NodeMaint, Notes: "a new disk", Status: api.HealthCritical, Type: "maintenance"})
	follow(t, o, opened)
	w.is(api.HealthCritical, "the node is in maintenance: a new disk")
}

// The check that earlier versions registered beside goes.
func TestOwn_aliasOfEarlierVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.AddCheck(api.AgentCheck{CheckID: webProxyID + ":alias", ServiceID: webProxyID, Status: api.HealthPassing, Type: "alias"})
	again := NewOwn(regWeb(), w.node())
	again.Rejoin(o.place())
	follow(t, again, opened)
	must.Nil(t, w.consul.Check(webProxyID+":alias"))
	must.Eq(t, 21000, w.consul.Proxy().Port)
	must.Eq(t, sidecar.Present, look(t, again).Presence)
}

// The sidecar takes over the changes that Nomad makes in place: tags, meta, weights, address.
func TestOwn_followsInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.admitted()
	w.consul.Change(webID, func(reg *api.AgentServiceRegistration) {
		reg.Tags, reg.Meta, reg.Port = []string{"promoted"}, map[string]string{"stage": "stable"}, 8081
		reg.Weights = &api.AgentWeights{Passing: 10, Warning: 3}
	})
	found := look(t, o)
	must.Eq(t, sidecar.Moved, found.Presence)
	must.Eq(t, `The service "web" is another by now: at 127.0.0.1:8081 in place of 127.0.0.1:8080`, found.Why)
	must.Eq(t, "127.0.0.1:8081", found.Place.App.Address)
	must.Eq(t, webProxyID, found.Place.ID)
	tell(t, o, opened)
	proxy := w.consul.Proxy()
	must.Eq(t, []string{"promoted"}, proxy.Tags)
	must.Eq(t, "stable", proxy.Meta["stage"])
	must.Eq(t, api.AgentWeights{Passing: 10, Warning: 3}, *proxy.Weights)
	must.Eq(t, 8081, proxy.Proxy.LocalServicePort)

	// Natively the sidecar keeps its tags where others may change the service's.
	w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.EnableTagOverride, reg.Tags = true, []string{"by hand"} })
	must.Eq(t, sidecar.Present, look(t, o).Presence)
	must.Eq(t, []string{"promoted"}, w.consul.Proxy().Tags)
	must.False(t, w.consul.Proxy().EnableTagOverride)
}

// Changes of a parent are in Consul at once, also when they come close together.
func TestOwn_heardAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	o := w.admitted()
	for _, tag := range []string{"one", "two", "three"} {
		eventually(t, func() bool { return w.consul.Watched() })
		began := time.Now()
		w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{tag} })
		for w.consul.Proxy().Tags == nil || w.consul.Proxy().Tags[0] != tag {
			<-o.News()
			if look(t, o).Presence == sidecar.Altered {
				tell(t, o, opened)
			}
		}
		must.Less(t, 500*time.Millisecond, time.Since(began))
	}
}
