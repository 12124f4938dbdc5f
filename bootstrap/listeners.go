package bootstrap

import (
	"cmp"
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// exposure is a part of Envoy's admin API that is let out: one path of it on a
// listener of its own, everything else there is 404.
type exposure struct {
	name    string // of the listener, without its suffix, and of its stats
	bind    netip.AddrPort
	match   *routev3.RouteMatch
	rewrite string
	cluster *clusterv3.Cluster // where the path leads
}

// The clusters that lead to Envoy's admin API, and to the program that merges
// its metrics with others.
const (
	selfAdminName         = "self_admin"
	prometheusBackendName = "prometheus_backend"
)

// exposures are those that the inputs ask for, in the consul command's order.
func exposures(in Inputs, cfg proxyConfig) ([]exposure, error) {
	admin, err := httpCluster(selfAdminName, in.Admin.address())
	if err != nil {
		return nil, err
	}
	var out []exposure
	if cfg.prometheusBind != "" {
		e := exposure{name: prometheusListener, match: exactPath(cmp.Or(in.Prometheus.ScrapePath, DefaultScrapePath)), rewrite: "/stats/prometheus", cluster: admin}
		if e.bind, err = parseBind(cfg.prometheusBind); err != nil {
			return nil, underKey(KeyPrometheus, err)
		}
		if port := in.Prometheus.BackendPort; port != 0 {
			if e.cluster, err = httpCluster(prometheusBackendName, socketAddress(netip.AddrPortFrom(in.adminHost(), port))); err != nil {
				return nil, err
			}
		}
		out = append(out, e)
	}
	if cfg.statsBind != "" {
		e := exposure{name: statsListener, match: pathPrefix("/stats"), rewrite: "/stats", cluster: admin}
		if e.bind, err = parseBind(cfg.statsBind); err != nil {
			return nil, underKey(KeyStats, err)
		}
		out = append(out, e)
	}
	if in.Ready.IsValid() {
		out = append(out, exposure{name: readyListener, bind: in.Ready, match: exactPath("/ready"), rewrite: "/ready", cluster: admin})
	}
	return out, nil
}

func exactPath(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}
}

func pathPrefix(prefix string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}}
}

// listener lets the exposure out; with TLS when Prometheus has it.
func (e exposure) listener(p Prometheus) (*listenerv3.Listener, error) {
	router, err := anyOf(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	manager, err := anyOf(&hcmv3.HttpConnectionManager{
		StatPrefix:     e.name,
		CodecType:      hcmv3.HttpConnectionManager_HTTP1,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: e.routes()},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       "envoy.filters.http.router",
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
		}},
	})
	if err != nil {
		return nil, err
	}
	chain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
	}}}
	if p.tls() {
		if chain.TransportSocket, err = downstreamTLS(); err != nil {
			return nil, err
		}
	}
	return &listenerv3.Listener{
		Name:         e.name + listenerSuffix,
		Address:      socketAddress(e.bind),
		FilterChains: []*listenerv3.FilterChain{chain},
	}, nil
}

func (e exposure) routes() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: "self_admin_route",
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    "self_admin",
			Domains: []string{"*"},
			Routes: []*routev3.Route{
				{Match: e.match, Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: e.cluster.GetName()},
					PrefixRewrite:    e.rewrite,
				}}},
				{Match: pathPrefix("/"), Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 404}}},
			},
		}},
	}
}

// The secrets that the listeners' TLS names.
const (
	prometheusCert       = "prometheus_cert"
	prometheusValidation = "prometheus_validation_context"
)

func downstreamTLS() (*corev3.TransportSocket, error) {
	return transportTLS(&tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: prometheusCert}},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: prometheusValidation},
		},
	}})
}

// secrets say which files TLS for Prometheus is made of.
func (p Prometheus) secrets() []*tlsv3.Secret {
	validation := &tlsv3.CertificateValidationContext{}
	if p.CAPath != "" {
		validation.WatchedDirectory = &corev3.WatchedDirectory{Path: p.CAPath}
	} else {
		validation.TrustedCa = fileSource(p.CAFile)
	}
	return []*tlsv3.Secret{
		{Name: prometheusCert, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: fileSource(p.CertFile),
			PrivateKey:       fileSource(p.KeyFile),
		}}},
		{Name: prometheusValidation, Type: &tlsv3.Secret_ValidationContext{ValidationContext: validation}},
	}
}

func fileSource(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}
