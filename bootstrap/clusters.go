package bootstrap

import (
	"fmt"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// localAgentName is the cluster that Consul's xDS server knows itself by.
const localAgentName = "local_agent"

const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// localAgent is the cluster through which Envoy reaches the Consul agent.
func localAgent(a Agent) (*clusterv3.Cluster, error) {
	c, err := staticCluster(localAgentName, a.address(), http2())
	if err != nil {
		return nil, err
	}
	c.ConnectTimeout = durationpb.New(time.Second)
	if a.TLS {
		c.TransportSocket, err = upstreamTLS(a.CAPEM)
	}
	return c, err
}

func (a Agent) address() *corev3.Address {
	if a.Socket != "" {
		return pipe(a.Socket, 0)
	}
	return socketAddress(a.AddrPort)
}

// httpCluster leads to a program of this machine that speaks HTTP/1.1.
func httpCluster(name string, addr *corev3.Address) (*clusterv3.Cluster, error) {
	c, err := staticCluster(name, addr, &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
		},
	})
	if err == nil {
		c.ConnectTimeout = durationpb.New(5 * time.Second)
	}
	return c, err
}

func http2() *httpv3.HttpProtocolOptions_ExplicitHttpConfig {
	return &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
		},
	}
}

func staticCluster(name string, addr *corev3.Address, protocol *httpv3.HttpProtocolOptions_ExplicitHttpConfig) (*clusterv3.Cluster, error) {
	options, err := anyOf(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: protocol},
	})
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: options},
		LoadAssignment:                loadAssignment(name, addr),
	}, nil
}

func upstreamTLS(caPEM string) (*corev3.TransportSocket, error) {
	return transportTLS(&tlsv3.UpstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
				ValidationContext: &tlsv3.CertificateValidationContext{
					TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: caPEM}},
				},
			},
		},
	})
}

func transportTLS(context proto.Message) (*corev3.TransportSocket, error) {
	tls, err := anyOf(context)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: tls},
	}, nil
}

func loadAssignment(cluster string, addr *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
					Endpoint: &endpointv3.Endpoint{Address: addr},
				},
			}},
		}},
	}
}

func socketAddress(ap netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       ap.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(ap.Port())},
	}}}
}

func pipe(path string, mode uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path, Mode: mode}}}
}

// anyOf packs a message that keeps Envoy's rules, deterministically, so that
// equal inputs render equal bytes.
func anyOf(m proto.Message) (*anypb.Any, error) {
	a := &anypb.Any{}
	err := validate(m)
	if err == nil {
		err = anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return a, nil
}
