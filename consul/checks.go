package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/hashicorp/consul/api"
)

// ErrNoCheck is SetStatus' answer when there is no such check, which is so when
// its service is gone.
var ErrNoCheck = errors.New("Consul has no such check")

// SetStatus changes the status of a TTL check, and says why.
func (c *Client) SetStatus(ctx context.Context, checkID, status, note string) error {
	err := c.tell(ctx, func(q *api.QueryOptions) error {
		return c.client.Agent().UpdateTTLOpts(checkID, note, status, q)
	})
	if isStatus(err, http.StatusNotFound) {
		return fmt.Errorf("set the check %s to %s: %w", checkID, status, ErrNoCheck)
	}
	if err != nil {
		return c.unreachable(fmt.Sprintf("set the check %s to %s", checkID, status), err)
	}
	return nil
}

// Health is a service as its agent has it, with its checks by their IDs.
type Health struct {
	Service *api.AgentService
	Checks  map[string]*api.HealthCheck
	Status  string // of all checks together
}

// Health asks the agent for a service and its checks; nil and no error when there
// is no such service. (A list of checks would be searched for those of the
// service, and there may be thousands.)
func (c *Client) Health(ctx context.Context, serviceID string) (*Health, error) {
	info, err := ask(ctx, c, func(q *api.QueryOptions) (info api.AgentServiceChecksInfo, err error) {
		_, err = c.client.Raw().Query("/v1/agent/health/service/id/"+url.PathEscape(serviceID), &info, q)
		err = healthAnswer(err, &info)
		return info, err
	})
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, c.unreachable("ask how "+serviceID+" is", err)
	}
	health := &Health{Service: info.Service, Status: info.AggregatedStatus, Checks: make(map[string]*api.HealthCheck, len(info.Checks))}
	for _, check := range info.Checks {
		health.Checks[check.CheckID] = check
	}
	return health, nil
}

// healthAnswer takes the status codes by which the agent says that a service is not
// well (429, 503) for what they are. The same codes say that it has too much to do;
// then there is no service in its answer.
func healthAnswer(err error, info *api.AgentServiceChecksInfo) error {
	var status api.StatusError
	if !errors.As(err, &status) || (status.Code != http.StatusTooManyRequests && status.Code != http.StatusServiceUnavailable) {
		return err
	}
	if json.Unmarshal([]byte(status.Body), info) != nil || info.Service == nil {
		return err
	}
	return nil
}

// AddCheck registers another check of a service. Consul keeps the status of one that
// it knows.
func (c *Client) AddCheck(ctx context.Context, serviceID string, check *api.AgentServiceCheck) error {
	anew := *check
	anew.CheckID = "" // Consul refuses a second ID
	err := c.tell(ctx, func(q *api.QueryOptions) error {
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

// ReplaceCheck puts a check into the place of another with the same ID: Consul would go
// on to run one of another kind, and have it tell how both are.
func (c *Client) ReplaceCheck(ctx context.Context, serviceID string, check *api.AgentServiceCheck) error {
	if err := c.RemoveCheck(ctx, check.CheckID); err != nil {
		return err
	}
	return c.AddCheck(ctx, serviceID, check)
}

// RemoveCheck removes one.
func (c *Client) RemoveCheck(ctx context.Context, checkID string) error {
	err := c.tell(ctx, func(q *api.QueryOptions) error { return c.client.Agent().CheckDeregisterOpts(checkID, q) })
	if err != nil {
		return c.unreachable("remove the check "+checkID, err)
	}
	return nil
}
