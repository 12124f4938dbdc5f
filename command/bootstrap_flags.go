package command

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
)

// bootstrapOptions are the flags of the bootstrap command: those of `consul
// connect envoy`, with its defaults and environment variables.
type bootstrapOptions struct {
	consul *api.Config // complete but for what api.NewClient adds
	compat string

	proxyID, sidecarFor, nodeName string

	gateway           string
	meshGateway       bool
	service           string
	register          bool
	address           addressFlag
	wanAddress        addressFlag
	bindAddresses     addressMapFlag
	exposeServers     bool
	deregisterAfter   string
	adminBind         string
	adminAccessLog    string
	grpcAddr          string
	grpcCAFile        string
	grpcCAPath        string
	prometheus        bootstrap.Prometheus
	prometheusBackend string
	readyAddress      string
	readyPort         int

	omitDeprecatedTags, noCentralConfig, logging bool

	// What validate makes of them.
	kind  api.ServiceKind // of the gateway; empty for a sidecar
	ready netip.AddrPort
	admin netip.AddrPort   // zero when it is not given
	agent *bootstrap.Agent // nil when it is not given
}

const (
	compat121 = "1.21"
	compat122 = "1.22"
)

// parseBootstrapFlags reads arguments; what follows the flags is for Envoy and
// means nothing here, as with `consul connect envoy -bootstrap`.
func parseBootstrapFlags(args []string) (*bootstrapOptions, error) {
	o, fs := newBootstrapFlags()
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("%w; see %s bootstrap -help", err, binary)
	}
	return o, o.validate()
}

func newBootstrapFlags() (*bootstrapOptions, *flag.FlagSet) {
	o := &bootstrapOptions{consul: api.DefaultConfig()}
	fs := newFlags("bootstrap")
	o.proxyFlags(fs)
	o.gatewayFlags(fs)
	o.envoyFlags(fs)
	o.metricsFlags(fs)
	o.consulFlags(fs)
	o.ignoredFlags(fs)
	return o, fs
}

func (o *bootstrapOptions) proxyFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.proxyID, "proxy-id", os.Getenv("CONNECT_PROXY_ID"), "The `ID` that the proxy is registered under with the local agent. Also CONNECT_PROXY_ID.")
	fs.StringVar(&o.sidecarFor, "sidecar-for", os.Getenv("CONNECT_SIDECAR_FOR"), "The `ID` of a service instance with exactly one sidecar registered with the local agent. Also CONNECT_SIDECAR_FOR. -proxy-id goes before it.")
	fs.StringVar(&o.nodeName, "node-name", "", "The `node` that the proxy is registered on in the catalog, when that is not the local agent's. Requires -proxy-id.")
	fs.BoolVar(&o.noCentralConfig, "no-central-config", false, "Leave the proxy's config unread (Proxy.Config of its registration, which the agent merges with proxy-defaults and service-defaults).")
	fs.StringVar(&o.compat, "compat", compat122, "The `version` of the consul command to agree with: 1.22, or 1.21, which takes no notice of the agent's bind address and lets TLS be without a CA.")
	fs.BoolVar(&o.logging, "enable-config-gen-logging", false, "Say on stderr what is being done.")
}

func (o *bootstrapOptions) gatewayFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.gateway, "gateway", "", "The `kind` of gateway: api, ingress, mesh or terminating.")
	fs.BoolVar(&o.meshGateway, "mesh-gateway", false, "Deprecated: the same as -gateway=mesh.")
	fs.StringVar(&o.service, "service", "", "The `name` of the gateway's service; by default its kind, as \"mesh-gateway\".")
	fs.BoolVar(&o.register, "register", false, "Register the gateway with the local agent first.")
	fs.Var(&o.address, "address", "The LAN `address` of the gateway (ip:port, a go-sockaddr template, port 8443 when none is given). An ingress gateway answers GET /ready there.")
	fs.Var(&o.wanAddress, "wan-address", "The WAN `address` of the gateway, like -address.")
	fs.Var(&o.bindAddresses, "bind-address", "Where the gateway listens instead of the usual places, as `name=ip:port`. May be given more than once.")
	fs.BoolVar(&o.exposeServers, "expose-servers", false, "Let a mesh gateway lead to the Consul servers for WAN federation. Requires -register.")
	fs.StringVar(&o.deregisterAfter, "deregister-after-critical", "6h", "For how `long` the registered gateway's check may be critical before Consul removes it.")
}

func (o *bootstrapOptions) envoyFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.adminBind, "admin-bind", "", "Where Envoy's admin API listens, as `address:port`. By default port 19000 on 127.0.0.1, or on ::1 when the agent is bound to an IPv6 address.")
	fs.StringVar(&o.adminAccessLog, "admin-access-log-path", bootstrap.DefaultAdminAccessLog, "Deprecated: the `file` that requests to the admin API are logged to. Set AccessLogs in proxy-defaults instead.")
	fs.StringVar(&o.readyAddress, "envoy-ready-bind-address", "", "The IP `address` at which GET /ready is answered. Goes with -envoy-ready-bind-port.")
	fs.IntVar(&o.readyPort, "envoy-ready-bind-port", 0, "The `port` at which GET /ready is answered.")
}

func (o *bootstrapOptions) metricsFlags(fs *flag.FlagSet) {
	fs.BoolVar(&o.omitDeprecatedTags, "omit-deprecated-tags", false, "Leave out the metric tags of before Consul 1.9 (consul.service beside consul.destination.service).")
	p := &o.prometheus
	fs.StringVar(&o.prometheusBackend, "prometheus-backend-port", "", "The `port` of a program that merges Envoy's metrics with others: envoy_prometheus_bind_addr leads there instead of to Envoy.")
	fs.StringVar(&p.ScrapePath, "prometheus-scrape-path", bootstrap.DefaultScrapePath, "The `path` at which envoy_prometheus_bind_addr answers.")
	fs.StringVar(&p.CAFile, "prometheus-ca-file", "", "A `file` with the CA certificates of those who may scrape over TLS.")
	fs.StringVar(&p.CAPath, "prometheus-ca-path", "", "A `directory` of such certificates.")
	fs.StringVar(&p.CertFile, "prometheus-cert-file", "", "The `file` of the certificate that metrics are served with.")
	fs.StringVar(&p.KeyFile, "prometheus-key-file", "", "The `file` of that certificate's private key.")
}

func (o *bootstrapOptions) consulFlags(fs *flag.FlagSet) {
	c := o.consul
	fs.StringVar(&o.grpcAddr, "grpc-addr", os.Getenv(api.GRPCAddrEnvName), "Where the agent serves gRPC, as `address` (host:port, http(s)://host:port or unix://path). By default the agent is asked. Also CONSUL_GRPC_ADDR.")
	fs.StringVar(&o.grpcCAFile, "grpc-ca-file", os.Getenv(api.GRPCCAFileEnvName), "A `file` with the CA certificates that Envoy verifies the agent's gRPC endpoint with. Also CONSUL_GRPC_CACERT; -ca-file is taken otherwise.")
	fs.StringVar(&o.grpcCAPath, "grpc-ca-path", os.Getenv(api.GRPCCAPathEnvName), "A `directory` of such certificates. Also CONSUL_GRPC_CAPATH; -ca-path is taken otherwise.")
	fs.StringVar(&c.Address, "http-addr", c.Address, "The `address` of the agent's HTTP API (host:port, http(s)://host:port or unix://path). Also CONSUL_HTTP_ADDR.")
	fs.StringVar(&c.Token, "token", c.Token, "The ACL `token` to ask Consul with, and that Envoy presents to it. Also CONSUL_HTTP_TOKEN.")
	fs.StringVar(&c.TokenFile, "token-file", c.TokenFile, "A `file` with that token. Also CONSUL_HTTP_TOKEN_FILE.")
	fs.StringVar(&c.TLSConfig.CAFile, "ca-file", c.TLSConfig.CAFile, "A `file` with the CA certificates to verify the HTTP API with. Also CONSUL_CACERT.")
	fs.StringVar(&c.TLSConfig.CAPath, "ca-path", c.TLSConfig.CAPath, "A `directory` of such certificates. Also CONSUL_CAPATH.")
	fs.StringVar(&c.TLSConfig.CertFile, "client-cert", c.TLSConfig.CertFile, "The `file` of the certificate to show to the HTTP API. Also CONSUL_CLIENT_CERT.")
	fs.StringVar(&c.TLSConfig.KeyFile, "client-key", c.TLSConfig.KeyFile, "The `file` of that certificate's private key. Also CONSUL_CLIENT_KEY.")
	fs.StringVar(&c.TLSConfig.Address, "tls-server-name", c.TLSConfig.Address, "The `name` that the HTTP API's certificate is for. Also CONSUL_TLS_SERVER_NAME.")
	fs.StringVar(&c.Namespace, "namespace", c.Namespace, "The `namespace` of the proxy (Consul Enterprise). Also CONSUL_NAMESPACE.")
	fs.StringVar(&c.Partition, "partition", c.Partition, "The admin `partition` of the proxy (Consul Enterprise). Also CONSUL_PARTITION.")
}

// ignoredFlags are taken so that a `consul connect envoy` line can be used as
// it stands; they say how to run Envoy, which this command never does.
func (o *bootstrapOptions) ignoredFlags(fs *flag.FlagSet) {
	fs.Bool("bootstrap", true, "Without effect: this command prints the bootstrap in any case.")
	fs.String("envoy-binary", "", "Without effect, like a `path` that is not used.")
	fs.String("envoy-version", "", "Without effect, a `version` that consul does not use either.")
	fs.Bool("ignore-envoy-compatibility", false, "Without effect.")
}

var gatewayKinds = map[string]api.ServiceKind{
	"api":         api.ServiceKindAPIGateway,
	"ingress":     api.ServiceKindIngressGateway,
	"mesh":        api.ServiceKindMeshGateway,
	"terminating": api.ServiceKindTerminatingGateway,
}

// validate finds what cannot go together, before anything is asked of Consul
// or told to it.
func (o *bootstrapOptions) validate() error {
	if !slices.Contains([]string{compat121, compat122}, o.compat) {
		return fmt.Errorf("-compat: %q is not a version this command agrees with; it is %s or %s", o.compat, compat122, compat121)
	}
	if o.nodeName != "" && o.proxyID == "" {
		return errors.New("-node-name requires -proxy-id")
	}
	if err := o.validateGateway(); err != nil {
		return err
	}
	if o.proxyID == "" && o.sidecarFor == "" && o.gateway == "" {
		return errors.New("no proxy is named; one of -proxy-id, -sidecar-for and -gateway says which")
	}
	if o.prometheus.ScrapePath == "" {
		return errors.New("-prometheus-scrape-path is empty; leave it out for " + bootstrap.DefaultScrapePath)
	}
	if o.prometheusBackend != "" {
		port, err := strconv.ParseUint(o.prometheusBackend, 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("-prometheus-backend-port: %q is not a port between 1 and 65535", o.prometheusBackend)
		}
		o.prometheus.BackendPort = uint16(port)
	}
	if err := o.prometheus.Validate(); err != nil {
		return err
	}
	return errors.Join(o.validateReady(), o.validateAddresses())
}

// validateAddresses resolves the addresses that are given.
func (o *bootstrapOptions) validateAddresses() (err error) {
	if o.adminBind != "" {
		if o.admin, err = consul.ResolveAddrPort(o.adminBind); err != nil {
			return fmt.Errorf("-admin-bind: %w", err)
		}
	}
	if o.register && o.kind == api.ServiceKindIngressGateway {
		if _, err = o.address.ready(); err != nil {
			return err
		}
	}
	if o.grpcAddr == "" {
		return nil
	}
	agent, err := o.agentAt(o.grpcAddr)
	o.agent = &agent
	return err
}

func (o *bootstrapOptions) validateGateway() error {
	if o.meshGateway && o.gateway != "" {
		return errors.New("-mesh-gateway is deprecated and cannot go with -gateway")
	}
	if o.meshGateway {
		o.gateway = "mesh"
	}
	kind, known := gatewayKinds[o.gateway]
	switch {
	case o.exposeServers && o.gateway != "mesh":
		return errors.New("-expose-servers is for mesh gateways only")
	case o.exposeServers && !o.register:
		return errors.New("-expose-servers requires -register")
	case o.gateway != "" && !known:
		return fmt.Errorf("-gateway: %q is not a kind of gateway; it is one of api, ingress, mesh, terminating", o.gateway)
	case o.register && o.nodeName != "":
		return errors.New("-register cannot go with -node-name")
	case o.register && o.proxyID == "" && o.sidecarFor != "":
		return errors.New("-register cannot go with -sidecar-for (or CONNECT_SIDECAR_FOR): a gateway is no sidecar")
	case o.register && o.gateway == "":
		return errors.New("-register is for gateways only; say which with -gateway")
	}
	o.kind = kind
	if o.service == "" {
		o.service = string(kind)
	}
	return nil
}

// validateReady takes a readiness address that is half given for none, as the
// consul command does.
func (o *bootstrapOptions) validateReady() error {
	if o.readyAddress == "" || o.readyPort == 0 {
		return nil
	}
	ip, err := netip.ParseAddr(o.readyAddress)
	if err != nil || ip.Zone() != "" {
		return fmt.Errorf("-envoy-ready-bind-address: %q is not an IP address", o.readyAddress)
	}
	if o.readyPort < 1 || o.readyPort > 65535 {
		return fmt.Errorf("-envoy-ready-bind-port: %d is not a port between 1 and 65535", o.readyPort)
	}
	o.ready = netip.AddrPortFrom(ip, uint16(o.readyPort))
	return nil
}
