package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-cleanhttp"
)

// Config says how to reach the Consul agent of this node.
type Config struct {
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

// RequestTimeout bounds one request to the local agent.
const RequestTimeout = 5 * time.Second

// patience bounds a request for which a person waits, who can break it off.
const patience = time.Minute

// Client talks to the agent of this node.
type Client struct {
	cfg       Config
	client    *api.Client
	transport *http.Transport
	timeout   time.Duration // of one request
	token     atomic.Pointer[string]
	agent     atomic.Pointer[string] // the operator's token
}

// New makes a client; it does not connect.
func New(cfg Config) (*Client, error) {
	return open(cfg, &api.Config{
		Address:   cfg.Address,
		Token:     cfg.Token,
		Namespace: cfg.Namespace,
		Partition: cfg.Partition,
		TLSConfig: cfg.TLS,
	})
}

// NewFromAPI makes a client of settings as Consul's own library has them, with
// what only that knows (basic auth, a token file, a path prefix). The library
// completes conf: afterwards its Token is the one that is in effect.
func NewFromAPI(conf *api.Config) (*Client, error) {
	c, err := open(Config{Address: conf.Address}, conf)
	if err != nil {
		return nil, err
	}
	c.SetToken(conf.Token)
	c.SetAgentToken(conf.Token)
	c.timeout = patience
	return c, nil
}

func open(cfg Config, conf *api.Config) (*Client, error) {
	transport := cleanhttp.DefaultPooledTransport()
	transport.IdleConnTimeout = RequestTimeout // most sidecars talk to Consul seldom
	conf.Transport = transport
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("set up a client for Consul at %s: %w", cfg.Address, err)
	}
	c := &Client{cfg: cfg, client: client, transport: transport, timeout: RequestTimeout}
	c.SetToken(cfg.Token)
	c.SetAgentToken(cfg.AgentToken)
	return c, nil
}

// Close gives back the connections that are idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Address is the agent's, as it was given.
func (c *Client) Address() string { return c.cfg.Address }

// Token is the ACL token that requests are made with.
func (c *Client) Token() string { return *c.token.Load() }

// SetToken changes the ACL token of all requests to come.
func (c *Client) SetToken(token string) { c.token.Store(&token) }

// AgentToken is the operator's.
func (c *Client) AgentToken() string { return *c.agent.Load() }

// SetAgentToken changes it: operators rotate theirs, too.
func (c *Client) SetAgentToken(token string) { c.agent.Store(&token) }

// ask runs one request within the client's timeout, with its token.
func (c *Client) ask(ctx context.Context, request func(*api.QueryOptions) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return request((&api.QueryOptions{Token: c.Token()}).WithContext(ctx))
}

// unreachable makes a sentence of a failed request: what was tried, where,
// what came of it and what to do.
func (c *Client) unreachable(doing string, err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("%s: Consul does not answer at %s: %w; is the agent running, and is that its address?", doing, c.cfg.Address, rootCause(err))
	}
	if strings.Contains(status.Body, aclNotFound) {
		return fmt.Errorf("%s: Consul at %s does not know the ACL token: %s", doing, c.cfg.Address, strings.TrimSpace(status.Body))
	}
	if status.Code == http.StatusForbidden {
		who := "no ACL token is given"
		if c.Token() != "" {
			who = "the ACL token does not allow it"
		}
		return fmt.Errorf("%s: Consul at %s refuses: %s (%s); a token with service:write on the service and its sidecar is needed", doing, c.cfg.Address, strings.TrimSpace(status.Body), who)
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
