package sidecar

import (
	"encoding/json"
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
	central  map[string]any    // the config of proxies, from config entries
	refuse   string            // requests whose "METHOD path" contains this are refused
	refusal  int               // the status of refusals
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
	_ = json.NewEncoder(w).Encode(api.CatalogNodeServiceList{Node: &api.Node{Node: "node"}, Services: services})
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
	delete(c.services, id)
}

// reads counts how often a service was asked for.
func (c *fakeConsul) reads(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[id]
}

func startFakeConsul(t *testing.T) *fakeConsul {
	t.Helper()
	c := &fakeConsul{services: map[string]*api.AgentServiceRegistration{}, checks: map[string]string{}, asked: map[string]int{}, refusal: http.StatusInternalServerError}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent/self", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Config":{"Version":"1.22.7"},"DebugConfig":{"ConnectEnabled":true},"xDS":{"Ports":{"Plaintext":8502,"TLS":8503}}}`))
	})
	mux.HandleFunc("GET /v1/catalog/node-services/{node}", c.catalog)
	mux.HandleFunc("GET /v1/agent/services", c.list)
	mux.HandleFunc("GET /v1/agent/service/{id}", c.read)
	mux.HandleFunc("PUT /v1/agent/service/register", c.register)
	mux.HandleFunc("PUT /v1/agent/service/deregister/{id}", c.deregister)
	mux.HandleFunc("PUT /v1/agent/check/register", c.registerCheck)
	mux.HandleFunc("PUT /v1/agent/check/update/{id}", func(http.ResponseWriter, *http.Request) {})
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
}

func (c *fakeConsul) add(reg *api.AgentServiceRegistration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries = 0
	c.services[reg.ID] = reg
	for id := range c.checks {
		if strings.HasPrefix(id, reg.ID+":") {
			delete(c.checks, id)
		}
	}
	for _, check := range reg.Checks {
		c.checks[check.CheckID] = check.Status
	}
}

func (c *fakeConsul) deregister(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries = 0
	delete(c.services, r.PathValue("id"))
}

func (c *fakeConsul) registerCheck(_ http.ResponseWriter, r *http.Request) {
	var check api.AgentCheckRegistration
	_ = json.NewDecoder(r.Body).Decode(&check)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks[check.ID] = check.Status
}

func (c *fakeConsul) fail(request string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = request
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

// status is that of a proxy's check, by its suffix; empty when it is absent.
func (c *fakeConsul) status(check string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, status := range c.checks {
		if strings.HasSuffix(id, check) {
			return status
		}
	}
	return ""
}
