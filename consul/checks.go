package consul

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/consul/api"
)

// SetStatus changes the status of a TTL check, and says why.
func (c *Client) SetStatus(ctx context.Context, checkID, status, note string) error {
	err := c.ask(ctx, func(q *api.QueryOptions) error {
		return c.client.Agent().UpdateTTLOpts(checkID, note, status, q)
	})
	if err != nil {
		return c.unreachable(fmt.Sprintf("set the check %s to %s", checkID, status), err)
	}
	return nil
}

// ServiceChecks lists the checks of a service that were registered with it, as
// Consul itself numbers them; not those that were added later.
func (c *Client) ServiceChecks(ctx context.Context, serviceID string) ([]*api.AgentCheck, error) {
	var checks map[string]*api.AgentCheck
	err := c.ask(ctx, func(q *api.QueryOptions) (err error) {
		checks, err = c.client.Agent().ChecksWithFilterOpts(fmt.Sprintf("ServiceID == %q and CheckID matches %q", serviceID, "^service:"), q)
		return err
	})
	if err != nil {
		return nil, c.unreachable("list the checks of "+serviceID, err)
	}
	return slices.Collect(maps.Values(checks)), nil
}

// ReplaceCheck registers a check of a service anew, in its status. Consul keeps
// the status of one that it knows, so it is removed before.
func (c *Client) ReplaceCheck(ctx context.Context, serviceID string, check *api.AgentServiceCheck) error {
	err := c.ask(ctx, func(q *api.QueryOptions) error {
		if err := c.client.Agent().CheckDeregisterOpts(check.CheckID, q); err != nil {
			return err
		}
		anew := *check
		anew.CheckID = "" // Consul refuses a second ID
		return c.client.Agent().CheckRegisterOpts(&api.AgentCheckRegistration{
			ID:                check.CheckID,
			Name:              check.Name,
			Notes:             check.Notes,
			ServiceID:         serviceID,
			AgentServiceCheck: anew,
		}, q)
	})
	if err != nil {
		return c.unreachable("replace the check "+check.CheckID, err)
	}
	return nil
}
