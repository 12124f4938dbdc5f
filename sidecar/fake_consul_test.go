package sidecar

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"
)

// fakeConsul is an agent's HTTP API over a table of services.
type fakeConsul struct {
	*httptest.Server

	mu       sync.Mutex
	services map[string]*api.AgentServiceRegistration
	checks   map[string]string // check ID → status
	types    map[string]string // check ID → type, of those where it matters
	central  map[string]any    // the config of proxies, from config entries
	token    string            // of the latest registration
	refuse   string            // requests whose "METHOD path" contains this are refused
	refusal  int               // the status of refusals
	refused  int               // how often that was
	node     string            // the node's ID, as long as the data is there
	hanging  chan struct{}     // requests wait until it is closed
	queries  int               // of the catalog, since something was registered or removed
	asked    map[string]int    // reads of a service, by its ID
}

// catalog answers at once, which a blocking query may.
func (c *fakeConsul) catalog(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries++
	services := []*api.AgentService{}
	for _, reg := range c.services {
		services = append(services, agentService(reg))
	}
	w.Header().Set("X-Consul-Index", "7")
	_ = json.NewEncoder(w).Encode(api.CatalogNodeServiceList{Node: &api.Node{ID: c.node, Node: "node"}, Services: services})
}

// watched tells whether the catalog was read as it is now.
func (c *fakeConsul) watched() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queries > 1
}

func (c *fakeConsul) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries = 0
	c.forget(id)
}

// loseData forgets everything, as an agent does whose data directory is gone.
func (c *fakeConsul) loseData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries, c.node = 0, c.node+"'"
	clear(c.services)
	clear(c.checks)
}

// refusals counts the requests that were refused since fail.
func (c *fakeConsul) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// reads counts how often a service was asked for.
func (c *fakeConsul) reads(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[id]
}

func startFakeConsul(t *testing.T) *fakeConsul {
	t.Helper()
	c := &fakeConsul{services: map[string]*api.AgentServiceRegistration{}, checks: map[string]string{}, types: map[string]string{}, asked: map[string]int{}, refusal: http.StatusInternalServerError}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent/self", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Config":{"Version":"1.22.7"},"DebugConfig":{"ConnectEnabled":true},"xDS":{"Ports":{"Plaintext":8502,"TLS":8503}}}`))
	})
	mux.HandleFunc("GET /v1/catalog/node-services/{node}", c.catalog)
	mux.HandleFunc("GET /v1/agent/services", c.list)
	mux.HandleFunc("GET /v1/agent/service/{id}", c.read)
	mux.HandleFunc("PUT /v1/agent/service/register", c.register)
	mux.HandleFunc("PUT /v1/agent/service/deregister/{id}", c.deregister)
	mux.HandleFunc("PUT /v1/agent/check/update/{id}", c.updateCheck)
	mux.HandleFunc("GET /v1/agent/checks", c.listChecks)
	mux.HandleFunc("GET /v1/agent/health/service/id/{id}", c.health)
	mux.HandleFunc("PUT /v1/agent/check/deregister/{id}", c.removeCheck)
	mux.HandleFunc("PUT /v1/agent/check/register", c.addCheck)
	c.Server = httptest.NewServer(c.faulty(mux))
	t.Cleanup(c.Close)
	return c
}

func (c *fakeConsul) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		refuse, hanging := c.refuse, c.hanging
		c.mu.Unlock()
		if hanging != nil {
			<-hanging
		}
		if refuse != "" && strings.Contains(r.Method+" "+r.URL.Path, refuse) {
			c.mu.Lock()
			c.refused++
			c.mu.Unlock()
			http.Error(w, "out of order", c.refusal)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *fakeConsul) list(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]*api.AgentService{}
	for id, reg := range c.services {
		if reg.Kind == api.ServiceKindTypical {
			out[id] = agentService(reg)
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (c *fakeConsul) read(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[r.PathValue("id")]++
	reg, ok := c.services[r.PathValue("id")]
	if !ok {
		http.Error(w, "unknown service ID", http.StatusNotFound)
		return
	}
	svc := agentService(reg)
	if c.central != nil && svc.Proxy != nil {
		svc.Proxy = &api.AgentServiceConnectProxyConfig{Config: c.central}
	}
	_ = json.NewEncoder(w).Encode(svc)
}

func agentService(reg *api.AgentServiceRegistration) *api.AgentService {
	return &api.AgentService{
		ID: reg.ID, Service: reg.Name, Kind: reg.Kind, Address: reg.Address, Port: reg.Port,
		Proxy: reg.Proxy, Meta: reg.Meta, Datacenter: "dc1",
	}
}

func (c *fakeConsul) register(_ http.ResponseWriter, r *http.Request) {
	var reg api.AgentServiceRegistration
	_ = json.NewDecoder(r.Body).Decode(&reg)
	c.add(&reg)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = r.Header.Get("X-Consul-Token")
}

// registrar is the token that the latest registration came with.
func (c *fakeConsul) registrar() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

func (c *fakeConsul) setCentral(config map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.central = config
}

func (c *fakeConsul) add(reg *api.AgentServiceRegistration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries = 0
	c.services[reg.ID] = reg
	before := maps.Clone(c.checks)
	maps.DeleteFunc(c.checks, func(id, _ string) bool { return strings.HasPrefix(id, reg.ID+":") })
	for _, check := range reg.Checks { // one that is known keeps its status, as with Consul
		c.checks[check.CheckID] = cmp.Or(before[check.CheckID], check.Status, api.HealthPassing)
	}
}

func (c *fakeConsul) deregister(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries = 0
	c.forget(r.PathValue("id"))
}

func (c *fakeConsul) forget(id string) {
	delete(c.services, id)
	maps.DeleteFunc(c.checks, func(check, _ string) bool { return strings.HasPrefix(check, id+":") })
}

func (c *fakeConsul) updateCheck(w http.ResponseWriter, r *http.Request) {
	var update struct{ Status string }
	_ = json.NewDecoder(r.Body).Decode(&update)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.checks[r.PathValue("id")]; !ok {
		http.Error(w, "unknown check ID", http.StatusNotFound)
		return
	}
	c.checks[r.PathValue("id")] = update.Status
}

// listChecks knows two filters: the checks of a service, or one.
func (c *fakeConsul) listChecks(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]*api.AgentCheck{}
	service, of := strings.CutPrefix(r.URL.Query().Get("filter"), "ServiceID == ")
	for id, status := range c.checks {
		if !of || strings.HasPrefix(strings.TrimPrefix(id, "service:"), strings.Trim(service, `"`)+":") {
			out[id] = &api.AgentCheck{CheckID: id, Status: status, Type: c.types[id]}
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

// health is passing: the services here have no checks of their own.
func (c *fakeConsul) health(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(api.AgentServiceChecksInfo{AggregatedStatus: api.HealthPassing})
}

func (c *fakeConsul) removeCheck(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.checks, r.PathValue("id"))
}

func (c *fakeConsul) addCheck(w http.ResponseWriter, r *http.Request) {
	var reg api.AgentCheckRegistration
	_ = json.NewDecoder(r.Body).Decode(&reg)
	if reg.CheckID != "" {
		http.Error(w, `Request decode failed: json: unknown field "CheckID"`, http.StatusBadRequest)
		return
	}
	c.setCheck(reg.ID, cmp.Or(reg.Status, api.HealthCritical))
}

// setCheck gives a check another status, or makes it.
func (c *fakeConsul) setCheck(id, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.checks[id]; !known || status == api.HealthCritical {
		c.checks[id] = status // one that is known keeps its status when it is registered
	}
}

// check is the status of one; empty when it is absent.
func (c *fakeConsul) check(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checks[id]
}

func (c *fakeConsul) fail(request string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse, c.refused = request, 0
}

// hang lets every request wait until the test ends.
func (c *fakeConsul) hang(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hanging = make(chan struct{})
	t.Cleanup(func() { close(c.hanging) })
}

// proxy is the only registered proxy, nil when there is none.
func (c *fakeConsul) proxy() *api.AgentServiceRegistration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, reg := range c.services {
		if reg.Kind == api.ServiceKindConnectProxy {
			return reg
		}
	}
	return nil
}

// ready is the status of the proxy's ready check; empty when it is absent.
func (c *fakeConsul) ready() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, status := range c.checks {
		if strings.HasSuffix(id, ":ready") {
			return status
		}
	}
	return ""
}
