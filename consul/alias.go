package consul

import (
	"context"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// MendAlias makes an alias check passing again that is critical although the
// service that it stands for is well, and tells whether it was so: an agent that
// starts takes alias checks for critical, and some miss that they are not until a
// minute has passed (Consul 1.22 begins to run them before it knows of them).
// Nothing changes for a service that is not well.
func (c *Client) MendAlias(ctx context.Context, serviceID string, alias *api.AgentServiceCheck) (bool, error) {
	var status string
	err := c.ask(ctx, func(q *api.QueryOptions) error {
		checks, err := c.client.Agent().ChecksWithFilterOpts(fmt.Sprintf("CheckID == %q", alias.CheckID), q)
		if err == nil && checks[alias.CheckID] != nil && checks[alias.CheckID].Status == api.HealthCritical {
			status, _, err = c.client.Agent().AgentHealthServiceByIDOpts(alias.AliasService, q)
		}
		return err
	})
	if err != nil {
		return false, c.unreachable("look after the check "+alias.CheckID, err)
	}
	if status != api.HealthPassing {
		return false, nil
	}
	// Consul keeps the status of a check that it knows.
	if err := c.RemoveCheck(ctx, alias.CheckID); err != nil {
		return false, err
	}
	passing := *alias
	passing.Status = api.HealthPassing
	err = c.AddCheck(ctx, serviceID, &passing)
	return err == nil, err
}
