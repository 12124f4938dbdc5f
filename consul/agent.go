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

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/bootstrap"
)

// AgentInfo is what the agent says of itself.
type AgentInfo struct {
	Version string
	Node    string          // empty when it does not tell
	DataDir string          // where it keeps what it knows; empty when it does not tell, or has none
	XDS     bootstrap.Agent // where Envoy finds the agent
	Note    string          // what is worth telling of how XDS was chosen
	ACLs    bool            // it wants tokens
	Restart string          // what traffic loses when the agent is restarted, and how to prevent it; empty for nothing
}

// Self is the part of GET /v1/agent/self that matters here.
type Self struct {
	Config struct {
		Version  string
		NodeName string
		Server   bool
		BindAddr string // since Consul 1.22
	}
	DebugConfig struct {
		ConnectEnabled bool
		DevMode        bool
		DataDir        string // empty in dev mode
		ACLsEnabled    bool
		LeaveOnTerm    bool
		GRPCPort       *int // nil when the agent does not tell; up to Consul 1.13 there is nothing else
	}
	Stats struct {
		Raft struct { // of servers
			LastSnapshotIndex string `json:"last_snapshot_index"`
		} `json:"raft"`
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
	self, err := ask(ctx, c, func(q *api.QueryOptions) (self Self, err error) {
		q.Token = cmp.Or(c.Tokens().Agent, q.Token)
		_, err = c.client.Raw().Query("/v1/agent/self", &self, q)
		return self, err
	})
	if isStatus(err, http.StatusForbidden) && !tokenUnknown(err) {
		return self, ErrForbidden
	}
	if err != nil {
		return self, c.unanswered("ask the Consul agent who it is", c.agentBearer(), err)
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
	info := AgentInfo{Version: self.Config.Version, Node: self.Config.NodeName, DataDir: self.DebugConfig.DataDir, ACLs: self.DebugConfig.ACLsEnabled, Restart: self.restartLoss()}
	if !self.DebugConfig.ConnectEnabled {
		return info, fmt.Errorf("the Consul agent at %s has the service mesh disabled; set connect { enabled = true } in its configuration", c.cfg.Address)
	}
	info.XDS, info.Note, err = c.xdsAddress(self)
	return info, err
}

// assumed is for an agent that does not tell us who it is: like the consul
// command we take the usual port, but look whether somebody is there.
func (c *Client) assumed(ctx context.Context) (AgentInfo, error) {
	info := AgentInfo{ACLs: true}
	if c.cfg.GRPCAddress != "" {
		var err error
		info.XDS, err = c.verified(c.cfg.GRPCAddress)
		return info, err
	}
	address := net.JoinHostPort(c.host(), strconv.Itoa(UsualGRPCPort.Number))
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
func (c *Client) xdsAddress(self Self) (agent bootstrap.Agent, note string, err error) {
	if c.cfg.GRPCAddress != "" {
		agent, err = c.verified(c.cfg.GRPCAddress)
		return agent, "", err
	}
	port, err := self.GRPCPort(c.cfg.GRPCCAFile != "")
	switch unused := self.XDS.Ports.TLS; {
	case err != nil:
		return agent, "", fmt.Errorf("the Consul agent at %s %w", c.cfg.Address, err)
	case port.TLS && c.cfg.GRPCCAFile == "":
		return agent, "", fmt.Errorf("the Consul agent at %s serves gRPC only with TLS (port %d); set consul { grpc_ca_file = … } so that Envoy can verify it", c.cfg.Address, port.Number)
	case port.Guessed:
		note = "the usual port, as the agent does not tell its own"
	case !port.TLS && unused > 0:
		note = fmt.Sprintf("plain gRPC, as no CA certificate is configured for the TLS port %d", unused)
	}
	agent, err = c.verified(port.At(c.host()))
	return agent, note, err
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
