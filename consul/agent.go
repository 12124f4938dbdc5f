package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/bootstrap"
)

// AgentInfo is what the agent says of itself.
type AgentInfo struct {
	Version string
	Node    string          // empty when it does not tell
	XDS     bootstrap.Agent // where Envoy finds the agent
	Note    string          // what is worth telling of how XDS was chosen
}

// Self is the part of GET /v1/agent/self that matters here.
type Self struct {
	Config struct {
		Version  string
		NodeName string
		BindAddr string // since Consul 1.22
	}
	DebugConfig struct {
		ConnectEnabled bool
		GRPCPort       *int // nil when the agent does not tell; up to Consul 1.13 there is nothing else
	}
	XDS struct {
		Ports struct{ Plaintext, TLS int }
	} `json:"xDS"`
}

// aclNotFound is how Consul calls a token that it does not know.
const aclNotFound = "ACL not found"

// ErrForbidden is Self's answer to a token without agent:read.
var ErrForbidden = errors.New("the ACL token may not read what the agent says of itself (agent:read)")

// Self asks the agent who it is.
func (c *Client) Self(ctx context.Context) (Self, error) {
	var self Self
	err := c.ask(ctx, func(q *api.QueryOptions) error {
		q.Token = cmp.Or(c.cfg.AgentToken, q.Token)
		_, err := c.client.Raw().Query("/v1/agent/self", &self, q)
		return err
	})
	if isStatus(err, http.StatusForbidden) && !strings.Contains(err.Error(), aclNotFound) {
		return self, ErrForbidden
	}
	if err != nil {
		return self, c.unreachable("ask the Consul agent who it is", err)
	}
	return self, nil
}

// Info asks the agent who it is and whether Envoys can be served. The error
// is a sentence that says what to do.
func (c *Client) Info(ctx context.Context) (AgentInfo, error) {
	self, err := c.Self(ctx)
	if errors.Is(err, ErrForbidden) {
		return c.assumed(ctx)
	}
	if err != nil {
		return AgentInfo{}, err
	}
	info := AgentInfo{Version: self.Config.Version, Node: self.Config.NodeName}
	if !self.DebugConfig.ConnectEnabled {
		return info, fmt.Errorf("the Consul agent at %s has the service mesh disabled; set connect { enabled = true } in its configuration", c.cfg.Address)
	}
	info.XDS, info.Note, err = c.xdsAddress(self.XDS.Ports.Plaintext, self.XDS.Ports.TLS)
	return info, err
}

// Agents remembers for a short while what agents said of themselves, for
// everybody on the node who asks the same one. The zero value is ready.
type Agents struct{ known sync.Map } // of agentKey to agentAnswer

// key tells clients apart whose agents answer differently.
func (c *Client) key() agentKey {
	return agentKey{c.cfg.Address, c.cfg.GRPCAddress, c.cfg.GRPCCAFile}
}

type (
	agentKey    struct{ address, grpcAddress, grpcCAFile string }
	agentAnswer struct {
		info AgentInfo
		at   time.Time
	}
)

// agentTTL is how old an answer may be; an agent changes its ports only by a
// restart.
const agentTTL = time.Minute

// Info is the client's Info, or a fresh enough answer to it.
func (a *Agents) Info(ctx context.Context, c *Client) (AgentInfo, error) {
	if known, ok := a.known.Load(c.key()); ok && time.Since(known.(agentAnswer).at) < agentTTL {
		return known.(agentAnswer).info, nil
	}
	return a.Refresh(ctx, c)
}

// Refresh asks the agent anew and remembers its answer.
func (a *Agents) Refresh(ctx context.Context, c *Client) (AgentInfo, error) {
	info, err := c.Info(ctx)
	if err != nil {
		a.known.Delete(c.key())
		return info, err
	}
	a.known.Range(func(other, answer any) bool {
		if time.Since(answer.(agentAnswer).at) > agentTTL {
			a.known.Delete(other)
		}
		return true
	})
	a.known.Store(c.key(), agentAnswer{info: info, at: time.Now()})
	return info, nil
}

// DefaultGRPCPort is where an agent usually serves plain gRPC.
const DefaultGRPCPort = 8502

// assumed is for an agent that does not tell us who it is: like the consul
// command we take the usual port, but look whether somebody is there.
func (c *Client) assumed(ctx context.Context) (AgentInfo, error) {
	info := AgentInfo{}
	if c.cfg.GRPCAddress != "" {
		var err error
		info.XDS, _, err = c.xdsAddress(0, 0)
		return info, err
	}
	address := net.JoinHostPort(c.host(), strconv.Itoa(DefaultGRPCPort))
	dialer := net.Dialer{Timeout: RequestTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return AgentInfo{}, fmt.Errorf("the Consul agent at %s does not tell its gRPC port without an ACL token that has agent:read, and nobody listens at %s; set consul { token_file = … } or consul { grpc_address = … } in the plugin's config", c.cfg.Address, address)
	}
	info.Note = fmt.Sprintf("the usual port, as no ACL token with agent:read is configured to ask %s", c.cfg.Address)
	info.XDS, err = ParseGRPCAddress(address)
	return info, errors.Join(err, conn.Close())
}

// xdsAddress prefers what the configuration says, then a plain port (Envoy
// refuses TLS without a CA to verify the agent with), then TLS.
func (c *Client) xdsAddress(plain, tls int) (bootstrap.Agent, string, error) {
	at := func(scheme string, port int) string {
		return scheme + net.JoinHostPort(c.host(), strconv.Itoa(port))
	}
	switch {
	case c.cfg.GRPCAddress != "":
		agent, err := c.verified(c.cfg.GRPCAddress)
		return agent, "", err
	case tls > 0 && c.cfg.GRPCCAFile != "":
		agent, err := c.verified(at("https://", tls))
		return agent, "", err
	case plain > 0:
		agent, err := ParseGRPCAddress(at("", plain))
		note := ""
		if tls > 0 {
			note = fmt.Sprintf("plain gRPC, as no CA certificate is configured for the TLS port %d", tls)
		}
		return agent, note, err
	case tls > 0:
		return bootstrap.Agent{}, "", fmt.Errorf("the Consul agent at %s serves gRPC only with TLS (port %d); set consul { grpc_ca_file = … } so that Envoy can verify it", c.cfg.Address, tls)
	}
	return bootstrap.Agent{}, "", fmt.Errorf("the Consul agent at %s has gRPC disabled, and Envoy takes its configuration over gRPC; set ports { grpc = 8502 } in the agent's configuration", c.cfg.Address)
}

// verified adds the CA that the configuration names to an address with TLS. A
// unix socket is one when a CA is named.
func (c *Client) verified(address string) (bootstrap.Agent, error) {
	agent, err := ParseGRPCAddress(address)
	if err != nil {
		return agent, err
	}
	agent.TLS = agent.TLS || (agent.Socket != "" && c.cfg.GRPCCAFile != "")
	if agent.TLS {
		agent.CAPEM, err = ReadCA(c.cfg.GRPCCAFile, "")
	}
	return agent, err
}

// host is where the agent's ports are: that of its HTTP address.
func (c *Client) host() string {
	addr := c.cfg.Address
	if strings.HasPrefix(addr, "unix://") {
		return "127.0.0.1"
	}
	if u, err := url.Parse(addr); err == nil && u.Host != "" {
		return u.Hostname()
	}
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		return host
	}
	return "127.0.0.1"
}
