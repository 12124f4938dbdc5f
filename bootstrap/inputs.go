package bootstrap

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/hashicorp/consul/api"
)

// Inputs is everything a bootstrap is made of.
type Inputs struct {
	// Proxy is the proxy's registration as the Consul agent gives it back,
	// its Proxy.Config merged with the central configuration by the agent.
	Proxy *api.AgentService

	// AccessLogs are those of the proxy-defaults config entry; nil for none.
	AccessLogs *api.AccessLogsConfig

	// Agent is where the Consul agent serves xDS.
	Agent Agent

	// Admin is where Envoy's admin API listens.
	Admin Admin

	// Token is the ACL token that Envoy presents on its xDS stream; empty for
	// the anonymous one.
	Token string
}

// Agent is a Consul agent's gRPC endpoint. Either Socket or AddrPort is set.
type Agent struct {
	AddrPort netip.AddrPort
	Socket   string // path of a unix socket
	TLS      bool
	CAPEM    string // PEM certificates that Envoy verifies the agent with
}

// String gives the endpoint as an operator would write it.
func (a Agent) String() string {
	scheme := "http"
	if a.TLS {
		scheme = "https"
	}
	if a.Socket != "" {
		return "unix://" + a.Socket
	}
	return fmt.Sprintf("%s://%s", scheme, a.AddrPort)
}

// Admin is the address of Envoy's admin API. Either Socket or AddrPort is set.
type Admin struct {
	AddrPort netip.AddrPort
	Socket   string // path of a unix socket, relative to Envoy's working directory or absolute
}

// adminSocketMode lets nobody but Envoy's own user (and root) in: the admin
// API prints the token and shuts Envoy down.
const adminSocketMode = 0o600

func (in Inputs) validate() error {
	switch {
	case in.Proxy == nil:
		return errors.New("no proxy service given")
	case in.Proxy.Proxy == nil:
		return fmt.Errorf("service %q is not a Connect proxy or gateway", in.Proxy.ID)
	case in.Agent.Socket == "" && !in.Agent.AddrPort.IsValid():
		return errors.New("no gRPC address of the Consul agent given")
	case in.Admin.Socket == "" && !in.Admin.AddrPort.IsValid():
		return errors.New("no address for Envoy's admin API given")
	case in.Agent.TLS && in.Agent.CAPEM == "":
		return fmt.Errorf("the Consul agent's gRPC endpoint %s uses TLS, but no CA certificate is given to verify it with", in.Agent)
	}
	return nil
}

// cluster is Envoy's node.cluster: the service that the proxy stands for.
func (in Inputs) cluster() string {
	if name := in.Proxy.Proxy.DestinationServiceName; name != "" {
		return name
	}
	return in.Proxy.ID
}

// sourceService names the proxied service in metrics.
func (in Inputs) sourceService() string {
	if name := in.Proxy.Proxy.DestinationServiceName; name != "" {
		return name
	}
	return in.Proxy.Service
}

func (in Inputs) namespace() string { return orDefault(in.Proxy.Namespace) }
func (in Inputs) partition() string { return orDefault(in.Proxy.Partition) }

// orDefault is Consul's name for an absent namespace or partition.
func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}
