package fake

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// check is one of a service, or of the node when it has no ServiceID.
type check struct {
	api.AgentCheck

	alias    string // the service that it stands for; empty for none
	interval string // as it was registered
}

// ReadySuffix is what the IDs of the driver's own checks of a sidecar end in.
const ReadySuffix = ":ready"

// Ready is the status of the only ready check; empty when there is none.
func (c *Consul) Ready() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, chk := range c.checks {
		if strings.HasSuffix(id, ReadySuffix) {
			return chk.Status
		}
	}
	return ""
}

// Check is one; nil when it is absent.
func (c *Consul) Check(id string) *api.AgentCheck {
	c.mu.Lock()
	defer c.mu.Unlock()
	if chk, ok := c.checks[id]; ok {
		now := chk.AgentCheck
		return &now
	}
	return nil
}

// CheckStatus is the status of one; empty when it is absent.
func (c *Consul) CheckStatus(id string) string {
	if chk := c.Check(id); chk != nil {
		return chk.Status
	}
	return ""
}

// AddCheck adds a check as it is, or puts it in the place of another.
func (c *Consul) AddCheck(added api.AgentCheck) {
	c.mu.Lock()
	defer c.mu.Unlock()
	added.Node = Node
	c.checks[added.CheckID] = &check{AgentCheck: added}
	c.checksChanged(added.ServiceID)
}

// SetCheck gives a check that there is another status, an alias check, too: it
// follows its service again when something becomes of that one's checks.
func (c *Consul) SetCheck(id, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if chk, ok := c.checks[id]; ok {
		chk.Status = status
		c.checksChanged(chk.ServiceID)
	}
}

// checksChanged is to be called when those of a service have.
func (c *Consul) checksChanged(serviceID string) {
	c.updateAliases(serviceID)
	c.change(c.checkTable)
}

// SetOutput has a check print something, as at its first run.
func (c *Consul) SetOutput(id, status, output string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if chk, ok := c.checks[id]; ok {
		chk.Status, chk.Output = status, output
		c.checksChanged(chk.ServiceID)
	}
}

// setChecks gives a service the checks that it is registered with.
func (c *Consul) setChecks(reg *api.AgentServiceRegistration, replace bool) {
	definitions := slices.Clone(reg.Checks)
	if reg.Check != nil {
		definitions = append(definitions, reg.Check)
	}
	kept := map[string]bool{}
	for i, definition := range definitions {
		id := definition.CheckID
		if id == "" {
			id = "service:" + reg.ID
			if len(definitions) > 1 {
				id += fmt.Sprintf(":%d", i+1)
			}
		}
		kept[id] = true
		c.putCheck(id, definition, reg)
	}
	for id, chk := range c.checks {
		if replace && chk.ServiceID == reg.ID && !kept[id] {
			delete(c.checks, id)
		}
	}
	c.updateAliases(reg.ID)
}

// putCheck makes a check; one that is known keeps its status.
func (c *Consul) putCheck(id string, d *api.AgentServiceCheck, reg *api.AgentServiceRegistration) {
	status := cmp.Or(d.Status, api.HealthCritical)
	output := ""
	if known, ok := c.checks[id]; ok {
		status, output = known.Status, known.Output
	}
	c.keepDefinition(id, d)
	alias := d.AliasService
	if known := c.checks[id]; known != nil {
		alias = cmp.Or(alias, known.alias) // which the agent goes on to run, whatever it is by now
	}
	c.checks[id] = &check{alias: alias, interval: d.Interval, AgentCheck: api.AgentCheck{
		Node: Node, CheckID: id, Name: cmp.Or(d.Name, fmt.Sprintf("Service '%s' check", reg.Name)), Status: status, Notes: d.Notes, Output: output,
		ServiceID: reg.ID, ServiceName: reg.Name, Type: typeOf(d),
	}}
	c.updateAlias(c.checks[id])
}

// typeOf is how Consul calls the kind of a check.
func typeOf(d *api.AgentServiceCheck) string {
	for kind, is := range map[string]bool{
		"ttl": d.TTL != "", "alias": d.AliasService != "" || d.AliasNode != "", "tcp": d.TCP != "", "http": d.HTTP != "", "grpc": d.GRPC != "", "script": len(d.Args) > 0,
	} {
		if is {
			return kind
		}
	}
	return ""
}

func (c *Consul) registerCheck(w http.ResponseWriter, r *http.Request) {
	var reg api.AgentCheckRegistration
	if !decode(w, r, &reg) {
		return
	}
	if reg.CheckID != "" {
		http.Error(w, `Request decode failed: json: unknown field "CheckID"`, http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	service, ok := c.services[reg.ServiceID]
	if !ok && reg.ServiceID != "" {
		http.Error(w, fmt.Sprintf("ServiceID %q does not exist", reg.ServiceID), http.StatusInternalServerError)
		return
	}
	if !ok {
		service = &api.AgentServiceRegistration{}
	}
	definition := reg.AgentServiceCheck
	definition.Name, definition.Notes = reg.Name, reg.Notes
	c.putCheck(cmp.Or(reg.ID, reg.Name), &definition, service)
	c.checksChanged(reg.ServiceID)
}

func (c *Consul) updateCheck(w http.ResponseWriter, r *http.Request) {
	var update struct{ Status, Output string }
	if !decode(w, r, &update) {
		return
	}
	if !slices.Contains([]string{api.HealthPassing, api.HealthWarning, api.HealthCritical}, update.Status) {
		http.Error(w, fmt.Sprintf("Invalid check status: '%s'", update.Status), http.StatusBadRequest)
		return
	}
	c.onCheck(w, r, func(chk *check) (changed bool) {
		if chk.Type != "ttl" {
			http.Error(w, fmt.Sprintf("CheckID %q does not have associated TTL", chk.CheckID), http.StatusInternalServerError)
			return false
		}
		changed = chk.Status != update.Status || chk.Output != update.Output
		chk.Status, chk.Output = update.Status, update.Output
		return changed
	})
}

func (c *Consul) deregisterCheck(w http.ResponseWriter, r *http.Request) {
	c.onCheck(w, r, func(chk *check) (changed bool) {
		delete(c.checks, chk.CheckID)
		return true
	})
}

// onCheck changes the check that a request names. What is as it was is no news to
// anybody, as when a TTL check is renewed.
func (c *Consul) onCheck(w http.ResponseWriter, r *http.Request, f func(*check) (changed bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := r.PathValue("id")
	chk, ok := c.checks[id]
	if !ok {
		http.Error(w, fmt.Sprintf("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id), http.StatusNotFound)
		return
	}
	if f(chk) {
		c.checksChanged(chk.ServiceID)
	}
}

// listedCheck is one in the agent's list, with what Consul's library does not read.
type listedCheck struct {
	*api.AgentCheck

	Interval string
}

func (c *Consul) listChecks(w http.ResponseWriter, r *http.Request) {
	fits, err := filterOf(r)
	if err != nil {
		refuseFilter(w, err)
		return
	}
	c.mu.Lock()
	listed := map[string]listedCheck{}
	for id, chk := range c.checks {
		now := chk.AgentCheck
		if fit, err := fits(&now); err == nil && fit {
			listed[id] = listedCheck{&now, chk.interval}
		}
	}
	c.mu.Unlock()
	answer(w, listed)
}
