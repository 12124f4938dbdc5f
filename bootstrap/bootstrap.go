package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// re2MaxProgramSize is how large a regular expression Envoy accepts; Consul's
// intentions and routers produce ones beyond Envoy's default of 100.
const re2MaxProgramSize = 1 << 20

// Render builds the bootstrap of a proxy. The result passes Envoy's own
// constraints (ValidateAll); an error names the input or the key of
// Proxy.Config that caused it.
func Render(in Inputs) (*bootstrapv3.Bootstrap, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	var cfg proxyConfig
	if !in.NoCentralConfig {
		var err error
		if cfg, err = parseProxyConfig(in.Proxy.Proxy.Config); err != nil {
			return nil, err
		}
	}
	b, err := build(in, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.template != "" {
		if b, err = fromTemplate(in, cfg, b); err != nil {
			return nil, underKey(keyTemplate, err)
		}
	}
	if err := addOverloadManager(b, in.MemoryLimit); err != nil {
		return nil, err
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("the bootstrap of %q breaks Envoy's rules: %w", in.Proxy.ID, err)
	}
	return b, nil
}

// build puts the parts together.
func build(in Inputs, cfg proxyConfig) (*bootstrapv3.Bootstrap, error) {
	b := &bootstrapv3.Bootstrap{
		Admin:            &bootstrapv3.Admin{Address: in.Admin.address()},
		Node:             in.node(),
		LayeredRuntime:   layeredRuntime(),
		DynamicResources: dynamicResources(in.Token),
	}
	var err error
	if b.Admin.AccessLog, err = adminAccessLog(in.AccessLogs, in.AdminAccessLogPath); err != nil {
		return nil, err
	}
	if b.StaticResources, err = staticResources(in, cfg); err != nil {
		return nil, err
	}
	if b.StatsConfig, err = statsConfig(in, cfg); err != nil {
		return nil, err
	}
	if err := addStatsSinks(b, in, cfg); err != nil {
		return nil, err
	}
	if cfg.tracing != "" {
		tracing := &tracev3.Tracing{}
		if err := readObject(cfg.tracing, tracing); err != nil {
			return nil, underKey(keyTracing, err)
		}
		b.Tracing = tracing //nolint:staticcheck // deprecated, but where the key's documentation puts it
	}
	return b, nil
}

// tokenHeader carries the ACL token to Consul, in every xDS stream.
const tokenHeader = "x-consul-token"

// Marshal gives the JSON that Envoy reads with --config-path; equal messages
// give equal bytes.
func Marshal(b *bootstrapv3.Bootstrap) ([]byte, error) { return marshal(b) }

func marshal(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(text, []byte(opaqueKey)) {
		return reveal(text)
	}
	var out bytes.Buffer // protojson varies its spaces
	err = json.Compact(&out, text)
	return out.Bytes(), err
}

func (in Inputs) node() *corev3.Node {
	metadata := map[string]*structpb.Value{
		"namespace": structpb.NewStringValue(in.namespace()),
		"partition": structpb.NewStringValue(in.partition()),
	}
	if in.NodeName != "" {
		metadata["node_name"] = structpb.NewStringValue(in.NodeName)
	}
	return &corev3.Node{Id: in.Proxy.ID, Cluster: in.cluster(), Metadata: &structpb.Struct{Fields: metadata}}
}

func (a Admin) address() *corev3.Address {
	if a.Socket != "" {
		return pipe(a.Socket, adminSocketMode)
	}
	return socketAddress(a.AddrPort)
}

func layeredRuntime() *bootstrapv3.LayeredRuntime {
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "base",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{
			StaticLayer: &structpb.Struct{Fields: map[string]*structpb.Value{
				"re2.max_program_size.error_level": structpb.NewNumberValue(re2MaxProgramSize),
			}},
		},
	}}}
}

// dynamicResources makes Envoy take everything else from Consul over one
// aggregated stream, and wait for it without a limit of its own: who starts
// Envoy bounds the wait.
func dynamicResources(token string) *bootstrapv3.Bootstrap_DynamicResources {
	ads := func() *corev3.ConfigSource {
		return &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			InitialFetchTimeout:   durationpb.New(0),
			ResourceApiVersion:    corev3.ApiVersion_V3,
		}
	}
	return &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: ads(),
		CdsConfig: ads(),
		AdsConfig: &corev3.ApiConfigSource{
			ApiType:             corev3.ApiConfigSource_DELTA_GRPC,
			TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{{
				InitialMetadata: []*corev3.HeaderValue{{Key: tokenHeader, Value: token}},
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: localAgentName},
				},
			}},
		},
	}
}
