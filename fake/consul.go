package fake

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"
)

// What the fake Consul says of itself.
const (
	Node          = "node"
	Datacenter    = "dc1"
	ConsulVersion = "1.22.7"
)

// Consul is the HTTP API of an agent over a table of services. Its methods may be
// called at any time, by anybody.
type Consul struct {
	*httptest.Server

	mu       sync.Mutex
	nodeID   string                                   // as long as the data is there
	created  uint64                                   // the index at which the node was registered
	index    uint64                                   // of the latest change of anything
	services map[string]*api.AgentServiceRegistration // by ID
	checks   map[string]*check                        // by ID
	central  map[string]any                           // the config of proxies, from config entries
	defaults *api.ProxyConfigEntry                    // nil for none

	serviceTable, checkTable, configTable *table

	dataDir   string // where definitions of checks are kept; empty for nowhere
	registrar string // the token of the latest registration
	reads     map[string]int
	requests  map[string]int // by "METHOD route"
	acls      acls
	faults    faults

	connections connections
	closed      chan struct{}
	closeOnce   sync.Once
}

// StartConsul starts an agent that has no services. It ends with the test.
func StartConsul(t testing.TB) *Consul {
	t.Helper()
	c := &Consul{
		nodeID: "node-id", created: 1, index: 1,
		services: map[string]*api.AgentServiceRegistration{}, checks: map[string]*check{},
		serviceTable: newTable(), checkTable: newTable(), configTable: newTable(),
		reads: map[string]int{}, requests: map[string]int{},
		closed: make(chan struct{}),
	}
	mux := c.routes()
	c.Server = httptest.NewUnstartedServer(c.admit(c.count(mux, c.faulty(c.known(mux)))))
	c.connections.watch(c.Config)
	c.Start()
	t.Cleanup(c.Close)
	return c
}

// Close ends the agent: connections are refused from then on.
func (c *Consul) Close() {
	c.closeOnce.Do(func() {
		close(c.closed)
		c.Resume()
		c.CloseClientConnections()
		c.Server.Close()
	})
}

func (c *Consul) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for route, handler := range map[string]http.HandlerFunc{
		"GET /v1/agent/self":                              c.self,
		"GET /v1/agent/services":                          c.listServices,
		"GET /v1/agent/service/{id}":                      c.readService,
		"PUT /v1/agent/service/register":                  c.registerService,
		"PUT /v1/agent/service/deregister/{id}":           c.deregisterService,
		"GET /v1/agent/checks":                            c.listChecks,
		"PUT /v1/agent/check/register":                    c.registerCheck,
		"PUT /v1/agent/check/deregister/{id}":             c.deregisterCheck,
		"PUT /v1/agent/check/update/{id}":                 c.updateCheck,
		"GET /v1/agent/health/service/id/{id}":            c.serviceHealth,
		"GET /v1/catalog/node-services/{node}":            c.nodeServices,
		"GET /v1/health/node/{node}":                      c.nodeHealth,
		"GET /v1/config/" + api.ProxyDefaults:             c.listProxyDefaults,
		"GET /v1/config/" + api.ProxyDefaults + "/{name}": c.readProxyDefaults,
		"GET /v1/acl/token/self":                          c.readToken,
		"POST /v1/acl/login":                              c.login,
		"POST /v1/acl/logout":                             c.logout,
		"POST /v1/internal/acl/authorize":                 c.authorize,
	} {
		mux.HandleFunc(route, handler)
	}
	return mux
}

// count keeps how often each route is asked for.
func (c *Consul) count(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, route := mux.Handler(r)
		if route == "" {
			route = r.Method + " " + r.URL.Path
		}
		c.mu.Lock()
		c.requests[route]++
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// Requests counts the requests so far, all of them or those of some routes, such as
// "GET /v1/agent/service/{id}".
func (c *Consul) Requests(routes ...string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := 0
	for _, route := range routes {
		sum += c.requests[route]
	}
	if len(routes) > 0 {
		return sum
	}
	for _, n := range c.requests {
		sum += n
	}
	return sum
}

func (c *Consul) self(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"Config":      map[string]any{"Version": ConsulVersion, "NodeName": Node, "Datacenter": Datacenter},
		"DebugConfig": map[string]any{"ConnectEnabled": true, "DataDir": c.keptIn(), "ACLsEnabled": c.hasACLs()},
		"xDS":         map[string]any{"Ports": map[string]int{"Plaintext": 8502, "TLS": 8503}},
	})
}

// keptIn is where the agent keeps what it knows.
func (c *Consul) keptIn() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dataDir
}

func answer(w http.ResponseWriter, body any) { answerStatus(w, http.StatusOK, body) }

func answerStatus(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// decode reads a request, or refuses it in Consul's words.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		http.Error(w, "Request decode failed: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}
