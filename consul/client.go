package consul

import (
	"fmt"
	"net/http"
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
	cfg     Config
	client  *api.Client
	timeout time.Duration // of one request
	tokens  *atomic.Pointer[Tokens]
	read    ReadTokens    // nil: they stay as they are
	reading chan struct{} // one at a time, as it may hang
	turn    chan struct{} // of requests that change something
	slots   chan struct{} // of all requests to the agent; nil for any number
	close   func()
}

// New makes a client with connections of its own; it does not connect.
func New(cfg Config) (*Client, error) {
	transport := newTransport()
	client, err := open(cfg.Address, cfg.library(), transport)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, client, RequestTimeout)
	c.close = transport.CloseIdleConnections
	return c, nil
}

// separate makes another client of the same agent and tokens, with connections of its
// own.
func (c *Client) separate() (*Client, error) {
	other, err := New(c.cfg)
	if err == nil {
		other.tokens = c.tokens
	}
	return other, err
}

// NewFromAPI makes a client of settings as Consul's own library has them, with
// what only that knows (basic auth, a token file, a path prefix). The library
// completes conf: afterwards its Token is the one that is in effect.
func NewFromAPI(conf *api.Config) (*Client, error) {
	transport := newTransport()
	client, err := open(conf.Address, conf, transport)
	if err != nil {
		return nil, err
	}
	c := newClient(Config{Address: conf.Address, Token: conf.Token, AgentToken: conf.Token}, client, patience)
	c.close = transport.CloseIdleConnections
	return c, nil
}

func newTransport() *http.Transport {
	transport := cleanhttp.DefaultPooledTransport()
	transport.IdleConnTimeout, transport.MaxIdleConnsPerHost = RequestTimeout, maxConnections
	return transport
}

func newClient(cfg Config, client *api.Client, timeout time.Duration) *Client {
	c := &Client{cfg: cfg, client: client, timeout: timeout, tokens: &atomic.Pointer[Tokens]{}, reading: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	c.SetTokens(Tokens{Task: cfg.Token, Agent: cfg.AgentToken})
	return c
}

// library is the part of the configuration that Consul's library has.
func (cfg Config) library() *api.Config {
	return &api.Config{
		Address:   cfg.Address,
		Token:     cfg.Token,
		Namespace: cfg.Namespace,
		Partition: cfg.Partition,
		TLSConfig: cfg.TLS,
	}
}

func open(address string, conf *api.Config, transport *http.Transport) (*api.Client, error) {
	conf.Transport = transport
	client, err := api.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("set up a client for Consul at %s: %w", address, err)
	}
	return client, nil
}

// Close gives back the connections that are idle.
func (c *Client) Close() { c.close() }

// Address is the agent's, as it was given.
func (c *Client) Address() string { return c.cfg.Address }
