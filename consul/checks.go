package consul

import (
	"context"
	"fmt"

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

// ServiceChecks lists the checks of a service.
func (c *Client) ServiceChecks(ctx context.Context, serviceID string) (map[string]*api.AgentCheck, error) {
	var checks map[string]*api.AgentCheck
	err := c.ask(ctx, func(q *api.QueryOptions) (err error) {
		checks, err = c.client.Agent().ChecksWithFilterOpts(fmt.Sprintf("ServiceID == %q", serviceID), q)
		return err
	})
	if err != nil {
		return nil, c.unreachable("list the checks of "+serviceID, err)
	}
	return checks, nil
}

// AddCheck registers another check of a service. Consul keeps the status of one that
// it knows.
func (c *Client) AddCheck(ctx context.Context, serviceID string, check *api.AgentServiceCheck) error {
	anew := *check
	anew.CheckID = "" // Consul refuses a second ID
	err := c.ask(ctx, func(q *api.QueryOptions) error {
		return c.client.Agent().CheckRegisterOpts(&api.AgentCheckRegistration{
			ID:                check.CheckID,
			Name:              check.Name,
			Notes:             check.Notes,
			ServiceID:         serviceID,
			AgentServiceCheck: anew,
		}, q)
	})
	if err != nil {
		return c.unreachable("register the check "+check.CheckID, err)
	}
	return nil
}

// RemoveCheck removes one.
func (c *Client) RemoveCheck(ctx context.Context, checkID string) error {
	err := c.ask(ctx, func(q *api.QueryOptions) error { return c.client.Agent().CheckDeregisterOpts(checkID, q) })
	if err != nil {
		return c.unreachable("remove the check "+checkID, err)
	}
	return nil
}
