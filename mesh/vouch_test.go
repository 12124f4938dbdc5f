package mesh

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// patient is an app whose health a test sets.
type patient struct {
	*httptest.Server

	status atomic.Int64
	asked  atomic.Int64
}

func startPatient(t *testing.T, status int64) *patient {
	a := &patient{}
	a.status.Store(status)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.asked.Add(1)
		w.WriteHeader(int(a.status.Load()))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *patient) check(id string) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{CheckID: id, Name: id, HTTP: a.URL + "/health", Interval: "10s"}
}

// notRun is what is said of the check "up" when Consul has not run it.
const notRun = `the service's check "up" is critical: Consul has not run it yet`

// Until Consul has run a check the driver does, where it knows it; then Consul's word
// counts, and nobody asks the app or the agent any more.
func TestVouch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	w.consul.KeepDefinitions(t)
	a := startPatient(t, 503)
	w.register("web", a.check("up"))
	o := w.joined()
	look(t, o)
	reply := tell(t, o, opened)
	must.StrContains(t, reply.Held, `the service's check "up" is critical: `+a.URL+`/health answers 503 Service Unavailable`)
	must.Less(t, time.Second, reply.Again)
	must.Eq(t, warmingPort, w.consul.Proxy().Port, must.Sprint("peers are told of it when they may come"))

	a.status.Store(429)
	must.Eq(t, "", tell(t, o, opened).Held)
	must.Eq(t, api.HealthWarning, w.consul.Ready())
	a.status.Store(200)
	reply = tell(t, o, opened)
	must.Eq(t, "", reply.Held)
	must.Between(t, time.Second/2, reply.Again, 5*time.Second)
	w.is(api.HealthPassing, readyNote)
	must.Eq(t, 21000, w.consul.Proxy().Port)

	a.status.Store(500)
	must.StrContains(t, tell(t, o, opened).Held, "answers 500")
	w.consul.SetOutput("up", api.HealthPassing, "HTTP GET: 200 OK")
	reply = follow(t, o, opened)
	must.Eq(t, "", reply.Held, must.Sprint("Consul says so"))
	must.GreaterEq(t, renewLeast, reply.Again)
	asked, requests := a.asked.Load(), w.asked()
	tell(t, o, opened)
	must.Eq(t, asked, a.asked.Load())
	must.Eq(t, requests+1, w.asked())
}

// A check that is put into the place of another is critical in Consul until it was run
// first: peers stay when the service is well.
func TestVouch_replacedCheck(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"definition is known": true, "definition is not known": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if known {
				w.consul.KeepDefinitions(t)
			}
			a := startPatient(t, 200)
			w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Port = portOf(t, a) })
			o := w.admitted()
			service := w.consul.Service(webID)
			service.Checks = api.AgentServiceChecks{a.check("new")}
			w.consul.Add(service)
			must.Eq(t, api.HealthCritical, w.consul.CheckStatus("new"))
			reply := follow(t, o, opened)
			must.Eq(t, "", reply.Held)
			must.Between(t, time.Second/2, reply.Again, 5*time.Second)
			w.is(api.HealthPassing, readyNote)
			must.Eq(t, known, a.asked.Load() > 0)

			w.consul.SetOutput("new", api.HealthCritical, "HTTP GET: 404")
			must.StrContains(t, follow(t, o, opened).Held, "HTTP GET: 404")
		})
	}
}

func portOf(t *testing.T, a *patient) int {
	t.Helper()
	return a.Listener.Addr().(*net.TCPAddr).Port
}

// Nothing is guessed of a check that Consul does not show when the service was never
// well; a connection is all that a TCP check makes.
func TestVouch_unknown(t *testing.T) {
	t.Parallel()
	_, port := listening(t)
	for _, tc := range []struct {
		name  string
		check *api.AgentServiceCheck
		port  int
		held  string
	}{
		{"http", &api.AgentServiceCheck{CheckID: "up", HTTP: "http://127.0.0.1/", Interval: "10s", Name: "up"}, port, notRun},
		{"script", &api.AgentServiceCheck{CheckID: "up", TTL: "30s", Name: "up"}, port, notRun},
		{"tcp", &api.AgentServiceCheck{CheckID: "up", TCP: "127.0.0.1:1", Interval: "10s", Name: "up"}, port, ""},
		{"tcp, and nobody listens", &api.AgentServiceCheck{CheckID: "up", TCP: "127.0.0.1:1", Interval: "10s", Name: "up"}, 1, "connection refused"},
		{"begins well", &api.AgentServiceCheck{CheckID: "up", TTL: "30s", Name: "up", Status: api.HealthPassing}, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.register("web", tc.check)
			w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Port = tc.port })
			o := w.joined()
			look(t, o)
			reply := tell(t, o, opened)
			if tc.held == "" {
				must.Eq(t, "", reply.Held)
				return
			}
			must.StrContains(t, reply.Held, tc.held)
		})
	}
}

// An agent that discards what checks print is believed after the time of a first run.
func TestVouch_outputIsDiscarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	_, port := listening(t)
	w.register("web", &api.AgentServiceCheck{CheckID: "up", Name: "up", TCP: "127.0.0.1:1", Interval: "10s"})
	w.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Port = port })
	o := w.joined()
	look(t, o)
	must.Eq(t, "", tell(t, o, opened).Held)
	o.ready.vouch.first["up"] = time.Now().Add(-10*time.Second - firstRun)
	for range 2 {
		reply := tell(t, o, opened)
		must.Eq(t, notRun, reply.Held)
		must.GreaterEq(t, renewLeast, reply.Again)
	}
}

// A data directory that may not be read is told of once, and Consul is waited for.
func TestVouch_unreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.consul.KeepDefinitions(t)
	w.register("web", &api.AgentServiceCheck{CheckID: "up", Name: "up", HTTP: "http://127.0.0.1/", Interval: "10s"})
	o := w.joined()
	kept, err := filepath.Glob(filepath.Join(dir, "checks", "*"))
	must.NoError(t, err)
	for _, file := range kept {
		must.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	}
	look(t, o)
	for range 2 {
		must.Eq(t, notRun, tell(t, o, opened).Held)
	}
	must.Eq(t, 1, w.said("Waits until Consul has run the checks of the service"))
}

// Consul shows a check before it has written down what it asks of whom.
func TestVouch_writtenLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.consul.KeepDefinitions(t)
	a := startPatient(t, 200)
	w.register("web", a.check("up"))
	kept, err := filepath.Glob(filepath.Join(dir, "checks", "*"))
	must.NoError(t, err)
	must.Len(t, 1, kept)
	must.NoError(t, os.Rename(kept[0], kept[0]+".later"))
	o := w.joined()
	look(t, o)
	reply := tell(t, o, opened)
	must.Eq(t, notRun, reply.Held)
	must.Less(t, time.Second, reply.Again)
	must.NoError(t, os.Rename(kept[0]+".later", kept[0]))
	must.Eq(t, "", tell(t, o, opened).Held)
	must.Positive(t, a.asked.Load())

	// The wait has an end.
	must.NoError(t, os.Remove(kept[0]))
	must.MapLen(t, 1, o.ready.vouch.definitions)
	clear(o.ready.vouch.definitions)
	tell(t, o, opened)
	must.MapEmpty(t, o.ready.vouch.definitions)
	o.ready.vouch.first["up"] = time.Now().Add(-writeTime)
	tell(t, o, opened)
	must.MapLen(t, 1, o.ready.vouch.definitions)
}

// A data directory that cannot be asked for is told of once, and asked for again.
func TestVouch_dataDirUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consul.KeepDefinitions(t)
	a := startPatient(t, 200)
	w.register("web", a.check("up"))
	o := w.joined()
	look(t, o)
	w.consul.Fail("GET /v1/agent/self", 0)
	for range 2 {
		must.Eq(t, notRun, tell(t, o, opened).Held)
	}
	must.Eq(t, 1, w.said("Waits until Consul has run the checks of the service"))
	w.consul.Heal()
	must.Eq(t, "", tell(t, o, opened).Held)
}

// All runs together are bounded. An app that is slow is not one that is down: a service
// that was well stays so, and another is waited for.
func TestVouch_hanging(t *testing.T) {
	t.Parallel()
	for name, well := range map[string]bool{"was well": true, "was not well": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.consul.KeepDefinitions(t)
			url := hanging(t)
			checks := api.AgentServiceChecks{
				{CheckID: "a", HTTP: url, Interval: "10s"}, {CheckID: "b", HTTP: url, Interval: "10s"}, {CheckID: "c", HTTP: url, Interval: "10s"},
			}
			o := w.joined()
			look(t, o)
			if well {
				tell(t, o, opened)
			}
			w.register("web", checks...)
			look(t, o)
			began := time.Now()
			reply := tell(t, o, opened)
			must.Less(t, 2*vouchTime, time.Since(began))
			if well {
				must.Eq(t, "", reply.Held)
				return
			}
			must.StrContains(t, reply.Held, "it has not answered yet")
			must.Less(t, time.Second, reply.Again)
		})
	}
}

// A check's own timeout is its verdict.
func TestVouch_timeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consul.KeepDefinitions(t)
	o := w.admitted()
	w.register("web", &api.AgentServiceCheck{CheckID: "up", HTTP: hanging(t), Interval: "10s", Timeout: "50ms"})
	must.StrContains(t, follow(t, o, opened).Held, "deadline exceeded")
}

// hanging is the URL of an app that never answers.
func hanging(t *testing.T) string {
	t.Helper()
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-gone }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(gone) })
	return server.URL
}

// A check is run once where Consul wants one good run, and is Consul's where it wants more.
func TestCanRun(t *testing.T) {
	t.Parallel()
	for runs, can := range map[int]bool{0: true, 1: true, 2: false} {
		must.Eq(t, can, canRun(&consul.Target{TCP: "127.0.0.1:1", SuccessBeforePassing: runs}))
	}
}
