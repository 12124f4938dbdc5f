package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"nomad-driver-connect/bootstrap"
)

// Inputs completes in with what Consul knows of a registered proxy: two
// requests, at the same time.
func (c *Client) Inputs(ctx context.Context, proxyID string, in bootstrap.Inputs) (bootstrap.Inputs, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		in.Proxy, err = c.Service(ctx, proxyID)
		if err == nil && in.Proxy == nil {
			err = fmt.Errorf("the registration %s is gone from Consul", proxyID)
		}
		return err
	})
	group.Go(func() (err error) {
		in.AccessLogs, err = c.accessLogs(ctx)
		if isStatus(err, http.StatusForbidden) {
			return nil // the entry is not ours to read
		}
		if err != nil {
			err = c.unreachable("read proxy-defaults", err)
		}
		return err // else what runs with access logs would be taken for outdated while Consul has no leader
	})
	err := group.Wait()
	return in, err
}

// AccessLogs gives those of proxy-defaults. Like the CLI it takes every answer
// but a success for "none": the entry may be absent or not ours to read.
func (c *Client) AccessLogs(ctx context.Context) (*api.AccessLogsConfig, error) {
	logs, err := c.accessLogs(ctx)
	var status api.StatusError
	if errors.As(err, &status) {
		return nil, nil
	}
	if err != nil {
		return nil, c.unreachable("read proxy-defaults", err)
	}
	return logs, nil
}

// accessLogs lists the entries, of which there is at most one: the agent logs an
// error for each request of an entry that is absent, which most meshes lack.
func (c *Client) accessLogs(ctx context.Context) (*api.AccessLogsConfig, error) {
	entries, err := ask(ctx, c, func(q *api.QueryOptions) ([]api.ConfigEntry, error) {
		entries, _, err := c.client.ConfigEntries().List(api.ProxyDefaults, q)
		return entries, err
	})
	for _, entry := range entries {
		if defaults, ok := entry.(*api.ProxyConfigEntry); ok && defaults.Name == api.ProxyConfigGlobal {
			return defaults.AccessLogs, nil
		}
	}
	return nil, err
}

// TokenUnknown tells whether Consul has ACLs and does not know the token. It
// is a hint: trouble with asking is a no.
func (c *Client) TokenUnknown(ctx context.Context) bool {
	_, err := ask(ctx, c, func(q *api.QueryOptions) (*api.ACLToken, error) {
		token, _, err := c.client.ACL().TokenReadSelf(q)
		return token, err
	})
	var status api.StatusError
	return errors.As(err, &status) && strings.Contains(status.Body, aclNotFound)
}
