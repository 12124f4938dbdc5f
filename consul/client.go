package consul

import (
	"context"
	"fmt"
	"net"
	"net/http"
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

	Identity   string // the workload identity that the job has exchanged for a token; empty when not said
	AuthMethod string // of Consul's, by which it is

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
	client  *library
	timeout time.Duration // of one request
	tokens  *atomic.Pointer[Tokens]
	read    ReadTokens    // nil: they stay as they are
	reading chan struct{} // one at a time, as it may hang
	turn    chan struct{} // of requests that change something
	slots   chan struct{} // of all requests to the agent; nil for any number
	keeper  Keeper        // of the tokens; nil for nobody
	certs   *certificates // nil where the library has them
	close   func()
}

// New makes a client with connections of its own; it does not connect.
func New(cfg Config) (*Client, error) {
	certs, err := readCertificates(cfg.TLS, func(error) {})
	if err != nil {
		return nil, err
	}
	return connect(cfg, certs)
}

func connect(cfg Config, certs *certificates) (*Client, error) {
	transport := cfg.transport(certs)
	client, err := open(cfg.Address, cfg.library(), transport)
	if err != nil {
		return nil, err
	}
	c := newClient(cfg, client, RequestTimeout)
	c.certs, c.close = certs, transport.CloseIdleConnections
	return c, nil
}

// separate makes another client of the same agent and tokens, with connections of its
// own.
func (c *Client) separate() (*Client, error) {
	other, err := connect(c.cfg, c.certs)
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
	transport.MaxResponseHeaderBytes = maxHeaders
	return transport
}

// transport makes connections as the configuration says: to a socket where that is the
// address, as the library would have a connection for each request there.
func (cfg Config) transport(certs *certificates) *http.Transport {
	transport := newTransport()
	if path, ok := cfg.socket(); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	}
	certs.secure(transport)
	return transport
}

// socket is the path of the unix socket that is the agent's address.
func (cfg Config) socket() (path string, ok bool) { return strings.CutPrefix(cfg.Address, "unix://") }

func newClient(cfg Config, client *library, timeout time.Duration) *Client {
	c := &Client{cfg: cfg, client: client, timeout: timeout, tokens: &atomic.Pointer[Tokens]{}, reading: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	c.SetTokens(Tokens{Task: cfg.Token, Agent: cfg.AgentToken})
	return c
}

// library is the part of the configuration that Consul's library has.
func (cfg Config) library() *api.Config {
	address := cfg.Address
	if _, ok := cfg.socket(); ok {
		address = "localhost" // the transport knows better
	}
	return &api.Config{
		Address:   address,
		Token:     cfg.Token,
		Namespace: cfg.Namespace,
		Partition: cfg.Partition,
		TLSConfig: cfg.TLS,
	}
}

// library is Consul's own, and the way around it to what it lacks.
type library struct {
	*api.Client
	http *http.Client
	base string // of URLs
}

func open(address string, conf *api.Config, transport *http.Transport) (*library, error) {
	conf.Transport = transport
	client, err := api.NewClient(conf) // which completes conf
	if err != nil {
		return nil, fmt.Errorf("set up a client for Consul at %s: %w", address, err)
	}
	bound(conf.HttpClient)
	return &library{client, conf.HttpClient, conf.Scheme + "://" + conf.Address + conf.PathPrefix}, nil
}

// Close gives back the connections that are idle.
func (c *Client) Close() { c.close() }

// Address is the agent's, as it was given.
func (c *Client) Address() string { return c.cfg.Address }
