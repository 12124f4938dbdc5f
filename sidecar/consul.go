package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"
)

// ConsulConfig says how to reach the Consul agent of this node.
type ConsulConfig struct {
	Address   string // "host:port", "http(s)://host:port" or "unix://path"
	Token     string // ACL token; empty for the anonymous one
	TokenFile string // where the user said it is found; empty when not said
	Namespace string // Consul Enterprise
	Partition string // Consul Enterprise
	TLS       api.TLSConfig

	// AgentToken is the operator's, for what is asked of the agent itself: a
	// task's token, made for one service, may not read that.
	AgentToken string

	// GRPCAddress is where the agent serves xDS, as CONSUL_GRPC_ADDR has it;
	// empty to ask the agent.
	GRPCAddress string
	GRPCCAFile  string
}

// requestTimeout bounds one request to the local agent.
const requestTimeout = 5 * time.Second

// Consul is the agent of this node.
type Consul struct {
	cfg       ConsulConfig
	client    *api.Client
	transport *http.Transport
}

// NewConsul makes a client; it does not connect.
func NewConsul(cfg ConsulConfig) (*Consul, error) {
	transport := cleanhttp.DefaultPooledTransport()
	transport.IdleConnTimeout = requestTimeout // most sidecars talk to Consul seldom
	client, err := api.NewClient(&api.Config{
		Address:   cfg.Address,
		Token:     cfg.Token,
		Namespace: cfg.Namespace,
		Partition: cfg.Partition,
		TLSConfig: cfg.TLS,
		Transport: transport,
	})
	if err != nil {
		return nil, fmt.Errorf("set up a client for Consul at %s: %w", cfg.Address, err)
	}
	return &Consul{cfg: cfg, client: client, transport: transport}, nil
}

// Close gives back the connections that are idle.
func (c *Consul) Close() { c.transport.CloseIdleConnections() }

// GroupServices lists the services registered under IDs that begin with
// prefix, without the proxies among them.
func (c *Consul) GroupServices(ctx context.Context, prefix string) ([]*api.AgentService, error) {
	filter := fmt.Sprintf("ID matches %q and Kind != %q", "^"+regexp.QuoteMeta(prefix), api.ServiceKindConnectProxy)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, err := c.client.Agent().ServicesWithFilterOpts(filter, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, c.unreachable("list the services of the group", err)
	}
	list := make([]*api.AgentService, 0, len(found))
	for _, svc := range found {
		list = append(list, svc)
	}
	return list, nil
}

// Service gives one registration; nil and no error when there is none.
func (c *Consul) Service(ctx context.Context, id string) (*api.AgentService, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	svc, _, err := c.client.Agent().Service(id, (&api.QueryOptions{}).WithContext(ctx))
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, c.unreachable("read the registration "+id, err)
	}
	return svc, nil
}

// AccessLogs gives those of proxy-defaults. Like the CLI it takes every answer
// but a success for "none": the entry may be absent or not ours to read.
func (c *Consul) AccessLogs(ctx context.Context) (*api.AccessLogsConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	entry, _, err := c.client.ConfigEntries().Get(api.ProxyDefaults, api.ProxyConfigGlobal, (&api.QueryOptions{}).WithContext(ctx))
	var status api.StatusError
	if errors.As(err, &status) {
		return nil, nil
	}
	if err != nil {
		return nil, c.unreachable("read proxy-defaults", err)
	}
	if defaults, ok := entry.(*api.ProxyConfigEntry); ok {
		return defaults.AccessLogs, nil
	}
	return nil, nil
}

// Register tells the agent of the proxy; checks that are not named go.
func (c *Consul) Register(ctx context.Context, reg *api.AgentServiceRegistration) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true}
	err := c.client.Agent().ServiceRegisterOpts(reg, opts.WithContext(ctx))
	var status api.StatusError
	if errors.As(err, &status) && status.Code == http.StatusBadRequest {
		return Invalidf("sidecar_service", "Consul does not accept it: %s", strings.TrimSpace(status.Body))
	}
	if err != nil {
		return c.unreachable("register the sidecar "+reg.ID, err)
	}
	return nil
}

// Deregister is content when there is nothing to remove.
func (c *Consul) Deregister(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.client.Agent().ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
	if isStatus(err, http.StatusForbidden) && c.cfg.AgentToken != "" { // the task's token may be gone by now
		err = c.client.Agent().ServiceDeregisterOpts(id, (&api.QueryOptions{Token: c.cfg.AgentToken}).WithContext(ctx))
	}
	if err != nil && !isStatus(err, http.StatusNotFound) {
		return c.unreachable("deregister the sidecar "+id, err)
	}
	return nil
}

// MarkCritical closes the gate of a registered proxy at once, and says why.
func (c *Consul) MarkCritical(ctx context.Context, proxyID, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	opts := (&api.QueryOptions{}).WithContext(ctx)
	check := &api.AgentCheckRegistration{ServiceID: proxyID, AgentServiceCheck: *gateCheck(proxyID)}
	check.ID, check.CheckID = check.CheckID, ""
	check.Name = check.AgentServiceCheck.Name
	if err := c.client.Agent().CheckRegisterOpts(check, opts); err != nil {
		return c.unreachable("mark the sidecar "+proxyID+" critical", err)
	}
	if err := c.client.Agent().UpdateTTLOpts(check.ID, reason, api.HealthCritical, opts); err != nil {
		return c.unreachable("say why the sidecar "+proxyID+" is critical", err)
	}
	return nil
}

// get reads JSON of the agent itself, for which the client library has no type.
func (c *Consul) get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.client.Raw().Query(path, out, (&api.QueryOptions{Token: c.cfg.AgentToken}).WithContext(ctx))
	return err
}

// unreachable makes a sentence of a failed request: what was tried, where,
// what came of it and what to do.
func (c *Consul) unreachable(doing string, err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: Consul does not answer at %s: %w; is the agent running, and is that its address?", doing, c.cfg.Address, rootCause(err))
	}
	if status.Code == http.StatusForbidden {
		who := "no ACL token is given"
		if c.cfg.Token != "" {
			who = "the ACL token does not allow it"
		}
		return fmt.Errorf("%s: Consul at %s refuses: %s (%s); the task needs a token with service:write on the service and its sidecar", doing, c.cfg.Address, strings.TrimSpace(status.Body), who)
	}
	return fmt.Errorf("%s: Consul at %s answers %d: %s", doing, c.cfg.Address, status.Code, strings.TrimSpace(status.Body))
}

// rootCause drops the request's URL, which is long and says nothing to a user.
func rootCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func isStatus(err error, code int) bool {
	var status api.StatusError
	return errors.As(err, &status) && status.Code == code
}
