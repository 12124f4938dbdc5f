package agents

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hashicorp/consul/api"
)

// Proxies are the registered sidecars, by their IDs.
func (c *Consul) Proxies(ctx context.Context) (map[string]*api.AgentService, error) {
	return c.Client.Agent().ServicesWithFilterOpts(`Kind == "connect-proxy"`, (&api.QueryOptions{}).WithContext(ctx))
}

// Snapshot has the server write a raft snapshot into its data directory, as
// every server does from time to time. What it starts with is in there: a server
// that has none tells Envoys after a restart that they have no upstreams.
func (c *Consul) Snapshot(ctx context.Context) error {
	archive, _, err := c.Client.Snapshot().Save((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, archive)
	return errors.Join(err, archive.Close())
}

// LoseData removes the data of an agent that is stopped.
func (c *Consul) LoseData() error { return os.RemoveAll(c.data) }

// Healthy are the registered sidecars of which all checks are passing, by their
// IDs.
func (c *Consul) Healthy(ctx context.Context) (map[string]bool, error) {
	proxies, err := c.Proxies(ctx)
	healthy := map[string]bool{}
	for id := range proxies {
		status, _, err := c.Client.Agent().AgentHealthServiceByIDOpts(id, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if status == api.HealthPassing {
			healthy[id] = true
		}
	}
	return healthy, err
}
