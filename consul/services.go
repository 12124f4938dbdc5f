package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// RejectedError is Consul's word that a registration is not acceptable: the
// same one will not be accepted later either.
type RejectedError struct{ Reason string }

func (e *RejectedError) Error() string { return "Consul does not accept it: " + e.Reason }

// GroupServices lists the services registered under IDs that begin with prefix, the
// proxies among them.
func (c *Client) GroupServices(ctx context.Context, prefix string) ([]*api.AgentService, error) {
	return c.list(ctx, "list the services of the group", fmt.Sprintf("ID matches %q", "^"+regexp.QuoteMeta(prefix)))
}

// Has tells which of some services the agent has. (It logs an error for every
// question about one that it has not; a list it just gives.)
func (c *Client) Has(ctx context.Context, ids ...string) (map[string]bool, error) {
	var filters []string
	for _, id := range ids {
		filters = append(filters, fmt.Sprintf("ID == %q", id))
	}
	found, err := c.list(ctx, "look for "+strings.Join(ids, ", "), strings.Join(filters, " or "))
	has := map[string]bool{}
	for _, svc := range found {
		has[svc.ID] = true
	}
	return has, err
}

// SidecarsFor lists the proxies of a service instance. Like the consul
// command it takes IDs that differ only in case for the same.
func (c *Client) SidecarsFor(ctx context.Context, serviceID string) ([]*api.AgentService, error) {
	proxies, err := c.list(ctx, "look for the sidecar of "+serviceID, fmt.Sprintf("Kind == %q", api.ServiceKindConnectProxy))
	return slices.DeleteFunc(proxies, func(svc *api.AgentService) bool {
		return svc.Proxy == nil || !strings.EqualFold(svc.Proxy.DestinationServiceID, serviceID)
	}), err
}

// Gateways lists the gateways of a kind.
func (c *Client) Gateways(ctx context.Context, kind api.ServiceKind) ([]*api.AgentService, error) {
	return c.list(ctx, "look for a "+string(kind), fmt.Sprintf("Kind == %q", kind))
}

// Proxies lists the sidecars whose meta has a value under a key.
func (c *Client) Proxies(ctx context.Context, key, value string) ([]*api.AgentService, error) {
	return c.list(ctx, "list the sidecars", fmt.Sprintf("Kind == %q and Meta[%q] == %q", api.ServiceKindConnectProxy, key, value))
}

// list gives the agent's services in the order of their IDs.
func (c *Client) list(ctx context.Context, doing, filter string) ([]*api.AgentService, error) {
	found, err := ask(ctx, c, func(q *api.QueryOptions) (map[string]*api.AgentService, error) {
		return c.client.Agent().ServicesWithFilterOpts(filter, q)
	})
	if err != nil {
		return nil, c.unreachable(doing, err)
	}
	list := make([]*api.AgentService, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[id])
	}
	return list, nil
}

// Service gives one registration; nil and no error when there is none.
func (c *Client) Service(ctx context.Context, id string) (*api.AgentService, error) {
	svc, err := ask(ctx, c, func(q *api.QueryOptions) (*api.AgentService, error) {
		svc, _, err := c.client.Agent().Service(id, q)
		return svc, err
	})
	var status api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound && strings.Contains(status.Body, "unknown service ID") {
		return nil, nil
	}
	if err != nil {
		return nil, c.unreachable("read the registration "+id, err)
	}
	return svc, nil
}

// CatalogService gives a registration of any node, from the catalog and with
// the central configuration merged in; nil and no error when there is none.
func (c *Client) CatalogService(ctx context.Context, node, id string) (*api.AgentService, error) {
	found, err := ask(ctx, c, func(q *api.QueryOptions) (*api.CatalogNodeServiceList, error) {
		q.Filter, q.MergeCentralConfig = fmt.Sprintf("ID == %q", id), true
		list, _, err := c.client.Catalog().NodeServiceList(node, q)
		return list, err
	})
	if err != nil {
		return nil, c.unreachable(fmt.Sprintf("read the registration %s of node %s", id, node), err)
	}
	if found == nil || len(found.Services) == 0 {
		return nil, nil
	}
	svc := found.Services[0]
	if found.Node != nil {
		svc.Datacenter = found.Node.Datacenter
	}
	return svc, nil
}

// Register tells the agent of a service. Checks that it does not name stay: others may
// have added them.
func (c *Client) Register(ctx context.Context, reg *api.AgentServiceRegistration) error {
	err := c.tell(ctx, func(q *api.QueryOptions) error { //nolint:contextcheck // the request has a context of its own
		opts := api.ServiceRegisterOpts{Token: q.Token}
		return c.client.Agent().ServiceRegisterOpts(reg, opts.WithContext(q.Context()))
	})
	var status api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusBadRequest {
		return &RejectedError{Reason: strings.TrimSpace(status.Body)}
	}
	if err != nil {
		return c.unreachable("register "+reg.ID, err)
	}
	return nil
}

// Deregister is content when there is nothing to remove, and tells whether
// there was.
func (c *Client) Deregister(ctx context.Context, id string) (found bool, err error) {
	err = c.tell(ctx, func(q *api.QueryOptions) error {
		err := c.client.Agent().ServiceDeregisterOpts(id, q)
		if isStatus(err, http.StatusForbidden) && c.Tokens().Agent != "" { // the task's token may be gone by now
			q.Token = c.Tokens().Agent
			err = c.client.Agent().ServiceDeregisterOpts(id, q)
		}
		return err
	})
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	if err != nil {
		return false, c.unreachable("deregister "+id, err)
	}
	return true, nil
}
