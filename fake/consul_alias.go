package fake

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// aggregate is the worst status of a service's checks and of the node's, passing
// when there are none. The checks come in the order of their IDs.
func (c *Consul) aggregate(serviceID string) (status string, checks []*check) {
	status = api.HealthPassing
	for _, chk := range c.checks {
		if chk.ServiceID != serviceID && chk.ServiceID != "" {
			continue
		}
		checks = append(checks, chk)
		if severity(chk.Status) > severity(status) {
			status = chk.Status
		}
	}
	slices.SortFunc(checks, func(a, b *check) int { return strings.Compare(a.CheckID, b.CheckID) })
	return status, checks
}

func severity(status string) int {
	return slices.Index([]string{api.HealthPassing, api.HealthWarning, api.HealthCritical}, status)
}

// updateAliases lets the alias checks of a service follow it.
func (c *Consul) updateAliases(serviceID string) {
	for _, chk := range c.checks {
		if chk.alias == serviceID {
			c.updateAlias(chk)
		}
	}
}

// updateAlias lets a check follow its service, when it is an alias.
func (c *Consul) updateAlias(chk *check) {
	if chk.alias == "" {
		return
	}
	status, checks := c.aggregate(chk.alias)
	output := "All checks passing."
	if len(checks) == 0 {
		output = "No checks found."
	}
	if _, ok := c.services[chk.alias]; !ok {
		status, output = api.HealthCritical, fmt.Sprintf("Service %s could not be found on node %s", chk.alias, Node)
	}
	before := chk.Status
	chk.Status, chk.Output = status, output
	if before != status && chk.ServiceID != chk.alias {
		c.updateAliases(chk.ServiceID) // there may be aliases of this one's service
	}
}

// serviceHealth is what the agent thinks of a service, in the status of its answer, too.
func (c *Consul) serviceHealth(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.reads[r.PathValue("id")]++
	c.mu.Unlock()
	status, info := c.healthOf(r.PathValue("id"))
	answerStatus(w, status, info)
}

func (c *Consul) healthOf(serviceID string) (int, *api.AgentServiceChecksInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reg, ok := c.services[serviceID]
	if !ok {
		return http.StatusNotFound, &api.AgentServiceChecksInfo{AggregatedStatus: api.HealthCritical}
	}
	status, checks := c.aggregate(serviceID)
	info := &api.AgentServiceChecksInfo{AggregatedStatus: status, Service: agentService(reg), Checks: api.HealthChecks{}}
	for _, chk := range checks {
		told := healthCheck(chk, reg)
		told.Type = "" // as Consul 1.22 leaves it out here
		info.Checks = append(info.Checks, told)
	}
	switch status {
	case api.HealthPassing:
		return http.StatusOK, info
	case api.HealthWarning:
		return http.StatusTooManyRequests, info
	}
	return http.StatusServiceUnavailable, info
}

// healthCheck is how the catalog has a check; its service may be nil.
func healthCheck(chk *check, service *api.AgentServiceRegistration) *api.HealthCheck {
	out := &api.HealthCheck{
		Node: chk.Node, CheckID: chk.CheckID, Name: chk.Name, Status: chk.Status, Notes: chk.Notes, Output: chk.Output,
		ServiceID: chk.ServiceID, ServiceName: chk.ServiceName, Type: chk.Type,
	}
	if service != nil {
		out.ServiceTags = slices.Clone(service.Tags)
	}
	return out
}
