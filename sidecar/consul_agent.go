package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"nomad-driver-connect/bootstrap"
)

// AgentInfo is what the agent says of itself.
type AgentInfo struct {
	Version string
	XDS     bootstrap.Agent // where Envoy finds the agent
	Note    string          // what is worth telling of how XDS was chosen
}

// agentSelf is the part of GET /v1/agent/self that matters here.
type agentSelf struct {
	Config      struct{ Version string }
	DebugConfig struct{ ConnectEnabled bool }
	XDS         struct {
		Ports struct{ Plaintext, TLS int }
	} `json:"xDS"`
}

// Info asks the agent who it is and whether Envoys can be served. The error
// is a sentence that says what to do.
func (c *Consul) Info(ctx context.Context) (AgentInfo, error) {
	var self agentSelf
	err := c.get(ctx, "/v1/agent/self", &self)
	if isStatus(err, http.StatusForbidden) {
		return c.assumed(ctx)
	}
	if err != nil {
		return AgentInfo{}, c.unreachable("ask the Consul agent who it is", err)
	}
	info := AgentInfo{Version: self.Config.Version}
	if !self.DebugConfig.ConnectEnabled {
		return info, fmt.Errorf("the Consul agent at %s has the service mesh disabled; set connect { enabled = true } in its configuration", c.cfg.Address)
	}
	info.XDS, info.Note, err = c.xdsAddress(self.XDS.Ports.Plaintext, self.XDS.Ports.TLS)
	return info, err
}

// defaultGRPCPort is where an agent usually serves plain gRPC.
const defaultGRPCPort = 8502

// assumed is for an agent that does not tell us who it is: like the consul
// command we take the usual port, but look whether somebody is there.
func (c *Consul) assumed(ctx context.Context) (AgentInfo, error) {
	info := AgentInfo{}
	if c.cfg.GRPCAddress != "" {
		var err error
		info.XDS, _, err = c.xdsAddress(0, 0)
		return info, err
	}
	address := net.JoinHostPort(c.host(), strconv.Itoa(defaultGRPCPort))
	dialer := net.Dialer{Timeout: requestTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return AgentInfo{}, fmt.Errorf("the Consul agent at %s does not tell its gRPC port without an ACL token that has agent:read, and nobody listens at %s; set consul { token_file = … } or consul { grpc_address = … } in the plugin's config", c.cfg.Address, address)
	}
	info.Note = fmt.Sprintf("the usual port, as no ACL token with agent:read is configured to ask %s", c.cfg.Address)
	info.XDS, err = parseGRPCAddress(address, "")
	return info, errors.Join(err, conn.Close())
}

// xdsAddress prefers what the configuration says, then a plain port (Envoy
// refuses TLS without a CA to verify the agent with), then TLS.
func (c *Consul) xdsAddress(plain, tls int) (bootstrap.Agent, string, error) {
	if c.cfg.GRPCAddress != "" {
		agent, err := parseGRPCAddress(c.cfg.GRPCAddress, c.cfg.GRPCCAFile)
		return agent, "", err
	}
	switch {
	case tls > 0 && c.cfg.GRPCCAFile != "":
		addr := net.JoinHostPort(c.host(), strconv.Itoa(tls))
		agent, err := parseGRPCAddress("https://"+addr, c.cfg.GRPCCAFile)
		return agent, "", err
	case plain > 0:
		agent, err := parseGRPCAddress(net.JoinHostPort(c.host(), strconv.Itoa(plain)), "")
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

// host is where the agent's ports are: that of its HTTP address.
func (c *Consul) host() string {
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

// parseGRPCAddress reads an address as CONSUL_GRPC_ADDR has it. Names are
// resolved here, since the bootstrap's cluster is a static one.
func parseGRPCAddress(addr, caFile string) (bootstrap.Agent, error) {
	agent := bootstrap.Agent{}
	rest, isTLS := strings.CutPrefix(addr, "https://")
	rest = strings.TrimPrefix(rest, "http://")
	agent.TLS = isTLS
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		agent.Socket, agent.TLS = path, caFile != ""
	} else {
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return agent, Invalidf("consul.grpc_address", "%q is not host:port: %v", addr, err)
		}
		ip, err := net.ResolveIPAddr("ip", host)
		if err != nil {
			return agent, fmt.Errorf("resolve the address of Consul's gRPC endpoint %q: %w", addr, err)
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return agent, Invalidf("consul.grpc_address", "%q has no port between 0 and 65535", addr)
		}
		parsed, _ := netip.AddrFromSlice(ip.IP)
		agent.AddrPort = netip.AddrPortFrom(parsed.Unmap(), uint16(number))
	}
	if !agent.TLS {
		return agent, nil
	}
	pem, err := readCA(caFile)
	agent.CAPEM = pem
	return agent, err
}
