package consul

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"
)

// catalog is what a watch asks of Consul. Each answer about services is given when
// a test gives it; checks and proxy-defaults wait for ever after the first.
type catalog struct {
	*httptest.Server

	answers chan *nodeAnswer // nil for a refusal

	mu       sync.Mutex
	asked    []string // the index of each question about services
	tokens   []string
	checks   []api.HealthCheck
	defaults string
	changed  chan struct{}
}

type nodeAnswer struct {
	index    int
	node     string
	created  uint64
	services []string // "id" or "id=version"
}

func startCatalog(t *testing.T) (*catalog, *Client) {
	c := &catalog{answers: make(chan *nodeAnswer), changed: make(chan struct{}), defaults: "[]"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/catalog/node-services/node", c.nodeServices)
	mux.HandleFunc("GET /v1/health/node/node", func(w http.ResponseWriter, r *http.Request) {
		c.blocking(w, r, func() any { return c.checks })
	})
	mux.HandleFunc("GET /v1/config/proxy-defaults", func(w http.ResponseWriter, r *http.Request) {
		c.blocking(w, r, func() any { return json.RawMessage(c.defaults) })
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	client, err := New(Config{Address: c.URL, AgentToken: "old"})
	must.NoError(t, err)
	return c, client
}

func (c *catalog) nodeServices(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.URL.Query().Get("index"))
	c.tokens = append(c.tokens, r.Header.Get("X-Consul-Token"))
	c.mu.Unlock()
	select {
	case a := <-c.answers:
		if a == nil {
			http.Error(w, "no leader", http.StatusInternalServerError)
			return
		}
		list := api.CatalogNodeServiceList{Node: &api.Node{ID: a.node, CreateIndex: a.created}}
		for _, service := range a.services {
			id, version, _ := strings.Cut(service, "=")
			list.Services = append(list.Services, &api.AgentService{ID: id, Meta: map[string]string{"version": version}})
		}
		w.Header().Set("X-Consul-Index", strconv.Itoa(a.index))
		_ = json.NewEncoder(w).Encode(list)
	case <-r.Context().Done():
	}
}

// blocking answers at once the first time, and then when something was changed.
func (c *catalog) blocking(w http.ResponseWriter, r *http.Request, content func() any) {
	c.mu.Lock()
	changed := c.changed
	c.mu.Unlock()
	if r.URL.Query().Get("index") != "" {
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("X-Consul-Index", "7")
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = json.NewEncoder(w).Encode(content())
}

func (c *catalog) change(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how()
	close(c.changed)
	c.changed = make(chan struct{})
}

// exhaust gives an answer as often as it is heard at once; then there is a pause.
func (c *catalog) exhaust(a *nodeAnswer) {
	for range queryBurst {
		c.answers <- a
	}
}

// questions about services so far.
func (c *catalog) questions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func run(t *testing.T, w *Watch, c *Client) <-chan error {
	complaints := make(chan error, 10)
	go w.Run(t.Context(), c, "node", func(err error) { complaints <- err })
	return complaints
}

func heard(t *testing.T, news <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-news:
	case <-time.After(10 * time.Second):
		t.Fatal("no news: ", why)
	}
}

func silent(t *testing.T, news <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-news:
		t.Fatal("news: ", why)
	default:
	}
}

// A follower hears of its services alone, and of nothing while Consul is away
// or does not show the node.
func TestWatch(t *testing.T) {
	t.Parallel()
	agent, client := startCatalog(t)
	var w Watch
	web := w.Follow(Interest{IDs: []string{"web-proxy", "web"}}).News
	dbs := w.Follow(Interest{IDs: []string{"db-proxy", "db"}})
	db := dbs.News
	complaints := run(t, &w, client)

	agent.answers <- &nodeAnswer{index: 41, services: []string{"web-proxy", "web"}}
	heard(t, web, "it is there")
	agent.answers <- nil
	must.ErrorContains(t, <-complaints, "follow the services of node node: Consul at "+agent.URL+" answers 500: no leader")
	silent(t, web, "a refusal is none")
	agent.answers <- &nodeAnswer{index: 42, services: []string{"web-proxy", "web", "db-proxy", "db"}}
	heard(t, db, "it is there")
	heard(t, web, "Consul is back")
	agent.answers <- &nodeAnswer{index: 43, services: []string{"web-proxy", "web=2", "db-proxy", "db"}}
	heard(t, web, "its parent has another version")
	silent(t, db, "it is as it was")
	agent.answers <- &nodeAnswer{index: 44, services: []string{"web", "db-proxy", "db"}}
	heard(t, web, "it is gone")
	must.Eq(t, []string{"", "41", "", "42", "43"}, agent.questions()[:5], must.Sprint("after a failure all is asked anew"))

	must.Eq(t, 2, w.Followers())
	dbs.Stop()
	must.Eq(t, 1, w.Followers())
}

// Checks and the central configuration are news, too.
func TestWatch_checks(t *testing.T) {
	t.Parallel()
	agent, client := startCatalog(t)
	var w Watch
	web := w.Follow(Interest{IDs: []string{"web-proxy", "web"}}).News
	db := w.Follow(Interest{IDs: []string{"db-proxy", "db"}}).News
	run(t, &w, client)
	seen := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.checks != nil && w.central != 0
	}
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(seen), wait.Timeout(10*time.Second)))
	silent(t, web, "nothing has changed")

	// Both queries wake; the first asks again a second later at the earliest.
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(func() bool {
		agent.change(func() {
			agent.checks = []api.HealthCheck{{ServiceID: "web-proxy", CheckID: "ready", Status: "passing"}, {ServiceID: "db", CheckID: "tcp", Status: "passing"}}
		})
		select {
		case <-web:
			return true
		default:
			return false
		}
	}), wait.Timeout(10*time.Second), wait.Gap(50*time.Millisecond)))
	heard(t, db, "its parent's checks are others")

	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(func() bool {
		agent.change(func() { agent.defaults = `[{"Kind":"proxy-defaults","Name":"global"}]` })
		select {
		case <-db:
			return true
		default:
			return false
		}
	}), wait.Timeout(10*time.Second), wait.Gap(50*time.Millisecond)))
	heard(t, web, "proxy-defaults are everybody's")
}

func TestWatch_nodeIsHidden(t *testing.T) {
	t.Parallel()
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Node":null,"Services":[]}`))
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	var w Watch
	q := catalogQuery{watch: &w, node: "node"}
	_, err = q.ask(t.Context(), c, 0)
	must.ErrorContains(t, err, "the plugin's token needs node:read and service:read")
}

// Data is lost while Consul is away; a lower index is no loss as long as it
// answers.
func TestWatch_forgot(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		away bool
		then nodeAnswer
		want bool
	}{
		{"nothing new", false, nodeAnswer{index: 41, node: "id", created: 5}, false},
		{"lower index", false, nodeAnswer{index: 20, node: "id", created: 5}, false},
		{"restarted", true, nodeAnswer{index: 41, node: "id", created: 5}, false},
		{"lower index after a restart", true, nodeAnswer{index: 20, node: "id", created: 5}, true},
		{"another ID", true, nodeAnswer{index: 41, node: "id'", created: 5}, true},
		{"registered anew", true, nodeAnswer{index: 41, node: "id", created: 38}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			agent, client := startCatalog(t)
			var w Watch
			complaints := run(t, &w, client)
			agent.answers <- &nodeAnswer{index: 40, node: "id", created: 5}
			if tc.away {
				agent.answers <- nil
				<-complaints
			}
			agent.answers <- &tc.then
			agent.answers <- &tc.then // who asks again has told of the one before
			must.Eq(t, tc.want, w.Forgot())
		})
	}
}

// What is wrong is told once, and again when something else is.
func TestWatch_complainsOnce(t *testing.T) {
	t.Parallel()
	agent, client := startCatalog(t)
	var w Watch
	complaints := run(t, &w, client)
	answer := &nodeAnswer{index: 40}
	for _, a := range []*nodeAnswer{nil, nil, answer, nil, answer, answer} {
		agent.answers <- a
	}
	must.Eq(t, 2, len(complaints))
}

// The watch asks with the operator's token of now. Changes that come close together are
// heard at once, but never many: also where somebody between us and Consul drops the
// index.
func TestWatch_rotatedToken(t *testing.T) {
	t.Parallel()
	agent, client := startCatalog(t)
	var w Watch
	run(t, &w, client)
	began := time.Now()
	for range queryBurst + 1 {
		agent.answers <- &nodeAnswer{index: 0}
		client.SetTokens(Tokens{Agent: "new"})
	}
	for range 4 {
		agent.answers <- &nodeAnswer{index: 0}
	}
	must.GreaterEq(t, 3*queryLeast, time.Since(began))
	agent.mu.Lock()
	defer agent.mu.Unlock()
	must.Eq(t, []string{"old", "new", "new"}, agent.tokens[:3])
}

// What concerns a thousand does not have all of them ask at the same moment, and
// everybody hears of it.
func TestWatch_many(t *testing.T) {
	t.Parallel()
	var w Watch
	var all []<-chan struct{}
	for i := range 1000 {
		all = append(all, w.Follow(Interest{IDs: []string{fmt.Sprint(i)}}).News)
	}
	w.sawCentral(1)
	w.sawCentral(2)
	for _, news := range all {
		heard(t, news, "proxy-defaults have changed")
	}
}

// What many services cost is not asked for often.
func TestWatch_pause(t *testing.T) {
	t.Parallel()
	for services, want := range map[int]time.Duration{0: queryLeast, 400: 200 * time.Millisecond, 5000: queryPause} {
		w := Watch{services: digests{}}
		for i := range services {
			w.services[fmt.Sprint(i)] = 1
		}
		must.Eq(t, want, w.pause())
	}
}

// A follower of a group hears of what comes in the place of a service that it misses.
func TestWatch_group(t *testing.T) {
	t.Parallel()
	var w Watch
	web := w.Follow(Interest{IDs: []string{"g-web-http"}, Group: "g-"})
	other := w.Follow(Interest{IDs: []string{"h-web-http"}, Group: "h-"})
	w.sawServices(digests{"g-web-http": 1, "h-web-http": 1}, false, false)
	for _, f := range []*Follower{web, other} {
		heard(t, f.News, "its service is there")
	}
	w.sawServices(digests{"g-web-http": 1, "h-web-http": 1, "g-db": 1}, false, false)
	silent(t, web.News, "it misses nothing")
	w.sawServices(digests{"h-web-http": 1, "g-db": 1}, false, false)
	heard(t, web.News, "its service is gone")
	w.sawServices(digests{"h-web-http": 1, "g-db": 1, "g-web-alt": 1}, false, false)
	heard(t, web.News, "another has come")
	web.Change(Interest{IDs: []string{"g-web-alt"}, Group: "g-"})
	w.sawServices(digests{"h-web-http": 1, "g-db": 1, "g-web-alt": 2}, false, false)
	heard(t, web.News, "it follows that one now")
	silent(t, other.News, "it is of another group")
	web.Stop()
	web.Stop()
	must.Eq(t, 1, w.Followers())
	must.MapEmpty(t, w.byID["g-web-alt"])
	must.MapEmpty(t, w.byGroup["g-"])
}

// An agent that was started anew between two questions, and has lost its data, would
// be silent until its index is as high as it was.
func TestWatch_restartedInThePause(t *testing.T) {
	t.Parallel()
	agent, client := startCatalog(t)
	var w Watch
	web := w.Follow(Interest{IDs: []string{"web-proxy"}}).News
	run(t, &w, client)
	agent.answers <- &nodeAnswer{index: 40, node: "id", created: 5, services: []string{"web-proxy"}}
	heard(t, web, "it is there")
	agent.exhaust(&nodeAnswer{index: 40, node: "id", created: 5, services: []string{"web-proxy"}})
	agent.CloseClientConnections() // in the pause after the answer
	agent.answers <- &nodeAnswer{index: 7, node: "id'", created: 3}
	heard(t, web, "it is gone")
	must.True(t, w.Forgot())
	must.Eq(t, "", agent.questions()[len(agent.questions())-1])
}
