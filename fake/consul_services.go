package fake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-bexpr"
)

// Add registers a service. Its checks that it has no more go; one that is known
// keeps its status, as with Consul.
func (c *Consul) Add(reg *api.AgentServiceRegistration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(reg, true)
}

// Remove forgets a service and its checks.
func (c *Consul) Remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
}

// Change changes a service that is registered.
func (c *Consul) Change(id string, f func(*api.AgentServiceRegistration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reg, ok := c.services[id]; ok {
		reg = copyOf(reg)
		f(reg)
		c.services[id] = reg
		c.change(c.serviceTable)
	}
}

// Service is the registration under an ID, nil when there is none.
func (c *Consul) Service(id string) *api.AgentServiceRegistration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return copyOf(c.services[id])
}

// Services are the IDs of all services, in order.
func (c *Consul) Services() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.services))
}

// Proxy is the only registered proxy, nil when there is none.
func (c *Consul) Proxy() *api.AgentServiceRegistration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(c.services)) {
		if reg := c.services[id]; reg.Kind == api.ServiceKindConnectProxy {
			return copyOf(reg)
		}
	}
	return nil
}

// Registrar is the token that the latest registration came with.
func (c *Consul) Registrar() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.registrar
}

// Reads counts how often the agent was asked for a service: for its registration,
// its health, or whether it is there.
func (c *Consul) Reads(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads[id]
}

// LoseData forgets everything, as an agent does whose data directory is gone.
func (c *Consul) LoseData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.services)
	clear(c.checks)
	c.change(c.serviceTable, c.checkTable)
	c.nodeID, c.created = c.nodeID+"'", c.index
}

func (c *Consul) add(reg *api.AgentServiceRegistration, replaceChecks bool) {
	reg = copyOf(reg) // which others may change
	reg.ID = cmp.Or(reg.ID, reg.Name)
	c.services[reg.ID] = reg
	c.setChecks(reg, replaceChecks)
	c.change(c.serviceTable, c.checkTable)
}

// remove tells whether it was there.
func (c *Consul) remove(id string) bool {
	_, known := c.services[id]
	delete(c.services, id)
	maps.DeleteFunc(c.checks, func(_ string, chk *check) bool { return chk.ServiceID == id })
	if known {
		c.updateAliases(id)
		c.change(c.serviceTable, c.checkTable)
	}
	return known
}

func (c *Consul) registerService(w http.ResponseWriter, r *http.Request) {
	var reg api.AgentServiceRegistration
	if !decode(w, r, &reg) {
		return
	}
	if reg.Name == "" {
		http.Error(w, "Missing service name", http.StatusBadRequest)
		return
	}
	replace := false
	if text := r.URL.Query().Get("replace-existing-checks"); text != "" {
		var err error
		if replace, err = strconv.ParseBool(text); err != nil {
			http.Error(w, "Invalid value for replace-existing-checks", http.StatusBadRequest)
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.acls.denied[tokenOf(r)][reg.Name] {
		http.Error(w, fmt.Sprintf("Permission denied: token lacks permission 'service:write' on %q", reg.Name), http.StatusForbidden)
		return
	}
	c.add(&reg, replace)
	c.registrar = tokenOf(r)
}

func (c *Consul) deregisterService(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id := r.PathValue("id"); !c.remove(id) {
		http.Error(w, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id), http.StatusNotFound)
	}
}

func (c *Consul) listServices(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	for _, quoted := range regexp.MustCompile(`ID == "([^"]+)"`).FindAllStringSubmatch(r.URL.Query().Get("filter"), -1) {
		c.reads[quoted[1]]++
	}
	all := make(map[string]*api.AgentService, len(c.services))
	for id, reg := range c.services {
		if !c.acls.denied[tokenOf(r)][reg.Name] {
			all[id] = agentService(reg)
		}
	}
	c.mu.Unlock()
	answerFiltered(w, r, all)
}

// readService merges the central configuration in, as the agent does for a proxy.
func (c *Consul) readService(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c.mu.Lock()
	c.reads[id]++
	reg, ok := c.services[id]
	var svc *api.AgentService
	if ok {
		svc = c.merged(agentService(reg))
	}
	c.mu.Unlock()
	if !ok {
		http.Error(w, "unknown service ID: "+id, http.StatusNotFound)
		return
	}
	answer(w, svc)
}

// agentService is how a registration is read. It shares what nobody changes: another
// registration is put in the place of one that is to change.
func agentService(reg *api.AgentServiceRegistration) *api.AgentService {
	weights := api.AgentWeights{Passing: 1, Warning: 1}
	if reg.Weights != nil {
		weights = *reg.Weights
	}
	return &api.AgentService{
		Kind: reg.Kind, ID: reg.ID, Service: reg.Name, Tags: reg.Tags, Meta: reg.Meta, Port: reg.Port, Address: reg.Address,
		SocketPath: reg.SocketPath, TaggedAddresses: reg.TaggedAddresses, Weights: weights, EnableTagOverride: reg.EnableTagOverride,
		Proxy: reg.Proxy, Connect: reg.Connect, Namespace: reg.Namespace, Partition: reg.Partition, Datacenter: Datacenter, Locality: reg.Locality,
	}
}

// answerFiltered answers with those that a filter lets through, by Consul's own
// library.
func answerFiltered[T any](w http.ResponseWriter, r *http.Request, all map[string]T) {
	fits, err := filterOf(r)
	if err != nil {
		refuseFilter(w, err)
		return
	}
	for id, item := range all {
		if fit, err := fits(item); err != nil || !fit {
			delete(all, id)
		}
	}
	answer(w, all)
}

func refuseFilter(w http.ResponseWriter, err error) {
	http.Error(w, "Failed to create boolean expression evaluator: "+err.Error(), http.StatusBadRequest)
}

// filterOf is the request's ?filter=.
func filterOf(r *http.Request) (func(any) (bool, error), error) {
	text := r.URL.Query().Get("filter")
	if text == "" {
		return func(any) (bool, error) { return true, nil }, nil
	}
	evaluator, err := bexpr.CreateEvaluator(text)
	if err != nil {
		return nil, err
	}
	return evaluator.Evaluate, nil
}

// copyOf is a copy that has nothing in common with the original, as if it had gone
// through HTTP; nil of nil.
func copyOf[T any](original *T) *T {
	if original == nil {
		return nil
	}
	text, err := json.Marshal(original)
	if err == nil {
		original = new(T)
		err = json.Unmarshal(text, original)
	}
	if err != nil {
		panic(err) // it is of one of Consul's own types
	}
	return original
}
