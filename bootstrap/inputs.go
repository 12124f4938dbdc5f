package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Inputs is everything a bootstrap is made of.
type Inputs struct {
	// Proxy is the proxy's registration as the Consul agent gives it back,
	// its Proxy.Config merged with the central configuration by the agent.
	Proxy *api.AgentService

	// NodeName is the node that the registration is on, when it came from the
	// catalog and not from the local agent; else empty.
	NodeName string

	// Cluster names the service in Envoy's node when the registration has no
	// destination service (a gateway); empty for the proxy's ID.
	Cluster string

	// Namespace and Partition hold when the registration has none (Consul Enterprise).
	Namespace, Partition string

	// AccessLogs are those of the proxy-defaults config entry; nil for none.
	AccessLogs *api.AccessLogsConfig

	// AdminAccessLogPath is where requests to the admin API are logged when
	// there are no AccessLogs; empty for nowhere.
	AdminAccessLogPath string

	// Agent is where the Consul agent serves xDS.
	Agent Agent

	// Admin is where Envoy's admin API listens.
	Admin Admin

	// Ready is where GET /ready is answered for everybody; zero for nowhere.
	Ready netip.AddrPort

	// Prometheus says how metrics are exposed when the proxy's config has
	// envoy_prometheus_bind_addr.
	Prometheus Prometheus

	// Token is the ACL token that Envoy presents on its xDS stream; empty for
	// the anonymous one.
	Token string

	// OmitDeprecatedTags leaves out the stats tags of before Consul 1.9.
	OmitDeprecatedTags bool

	// NoCentralConfig leaves Proxy.Config unread.
	NoCentralConfig bool

	// MemoryLimit is how many bytes of memory Envoy may use before it is killed;
	// 0 for no limit. The bootstrap then has an overload manager, which the
	// consul command has no notion of.
	MemoryLimit uint64

	// Env are the variables that the addresses of stats sinks may name.
	Env map[string]string
}

// Environ makes Inputs.Env of a list of "NAME=value".
func Environ(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// Agent is a Consul agent's gRPC endpoint. Either Socket or AddrPort is set.
type Agent struct {
	AddrPort netip.AddrPort
	Socket   string // path of a unix socket
	TLS      bool
	CAPEM    string // PEM certificates that Envoy verifies the agent with

	// NoCA allows TLS without a CA, as Consul 1.21 had it. Envoy refuses that
	// since 1.35.
	NoCA bool
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

// Prometheus is how Envoy exposes its metrics.
type Prometheus struct {
	// BackendPort is that of another program on the admin API's address that
	// merges Envoy's metrics with others; 0 for Envoy's own.
	BackendPort uint16

	ScrapePath string // "/metrics" when empty

	// Files for TLS: all of CertFile, KeyFile and one of the CAs, or none.
	CAFile, CAPath    string
	CertFile, KeyFile string
}

// The defaults of the consul command.
const (
	DefaultScrapePath     = "/metrics"
	DefaultAdminAccessLog = "/dev/null"
)

func (p Prometheus) tls() bool { return p.CertFile != "" }

// Validate finds files for TLS that are not complete.
func (p Prometheus) Validate() error {
	ca := p.CAFile != "" || p.CAPath != ""
	all, any := ca && p.CertFile != "" && p.KeyFile != "", ca || p.CertFile != "" || p.KeyFile != ""
	if any && !all {
		return errors.New("TLS for Prometheus metrics needs a certificate, its key and a CA (-prometheus-cert-file, -prometheus-key-file and one of -prometheus-ca-file, -prometheus-ca-path)")
	}
	return nil
}

// validate leaves nothing that makes no bootstrap.
func (in Inputs) validate() error {
	switch {
	case in.Proxy == nil:
		return errors.New("no proxy service given")
	case in.Proxy.Proxy == nil || in.Proxy.Kind == api.ServiceKindTypical:
		return fmt.Errorf("service %q is not a Connect proxy or gateway", in.Proxy.ID)
	case in.Agent.Socket == "" && !in.Agent.AddrPort.IsValid():
		return errors.New("no gRPC address of the Consul agent given")
	case in.Admin.Socket == "" && !in.Admin.AddrPort.IsValid():
		return errors.New("no address for Envoy's admin API given")
	case in.Agent.TLS && in.Agent.CAPEM == "" && !in.Agent.NoCA:
		return fmt.Errorf("the Consul agent's gRPC endpoint %s uses TLS, but there is no CA certificate to verify it with; give one (-grpc-ca-file, or consul { grpc_ca_file = … } in the plugin's config)", in.Agent)
	}
	for _, text := range []struct{ what, is string }{
		{"the proxy's ID", in.Proxy.ID},
		{"the service's name", in.Proxy.Service},
		{"the name of the destination service", in.Proxy.Proxy.DestinationServiceName},
		{"the datacenter", in.Proxy.Datacenter},
		{"the node's name", in.NodeName},
		{"the cluster's name", in.Cluster},
		{"the namespace", in.namespace()},
		{"the partition", in.partition()},
		{"the ACL token", in.Token},
		{"the path of the admin access log", in.AdminAccessLogPath},
		{"the path of the agent's socket", in.Agent.Socket},
		{"the path of the admin socket", in.Admin.Socket},
		{"the Prometheus scrape path", in.Prometheus.ScrapePath},
		{"the Prometheus CA file", in.Prometheus.CAFile},
		{"the Prometheus CA path", in.Prometheus.CAPath},
		{"the Prometheus certificate file", in.Prometheus.CertFile},
		{"the Prometheus key file", in.Prometheus.KeyFile},
	} {
		if err := clean(text.is); err != nil {
			return fmt.Errorf("%s: %w", text.what, err)
		}
	}
	for _, path := range []string{in.Agent.Socket, in.Admin.Socket} {
		if err := socketPath(path); err != nil {
			return err
		}
	}
	if strings.Contains(in.Token, "%") {
		return errors.New("the ACL token: it contains '%', which Envoy takes for a command in the metadata it sends")
	}
	return in.Prometheus.Validate()
}

// cluster is Envoy's node.cluster: the service that the proxy stands for.
func (in Inputs) cluster() string {
	return cmp.Or(in.Proxy.Proxy.DestinationServiceName, in.Cluster, in.Proxy.ID)
}

// sourceService names the proxied service in metrics.
func (in Inputs) sourceService() string {
	return cmp.Or(in.Proxy.Proxy.DestinationServiceName, in.Proxy.Service)
}

// Consul's name for an absent namespace or partition is "default".

func (in Inputs) namespace() string { return cmp.Or(in.Proxy.Namespace, in.Namespace, "default") }
func (in Inputs) partition() string { return cmp.Or(in.Proxy.Partition, in.Partition, "default") }

// adminHost is where programs beside Envoy listen: the admin API's address,
// loopback when that is a socket.
func (in Inputs) adminHost() netip.Addr {
	if in.Admin.Socket != "" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return in.Admin.AddrPort.Addr()
}

// parseBind reads an address to listen on, "ip:port".
func parseBind(text string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return addr, fmt.Errorf("%q is not an address to listen on, ip:port: %s", text, strings.TrimPrefix(err.Error(), "netip.ParseAddrPort: "))
	}
	if addr.Addr().Zone() != "" {
		return addr, fmt.Errorf("%q has a zone; only addresses without one are taken to listen on", text)
	}
	return addr, nil
}
