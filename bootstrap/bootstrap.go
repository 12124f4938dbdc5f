package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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

// addStatsSinks adds the telemetry collector after all other sinks, which
// flushes seldom when it is the only one.
func addStatsSinks(b *bootstrapv3.Bootstrap, in Inputs, cfg proxyConfig) (err error) {
	if b.StatsSinks, err = statsSinks(in, cfg); err != nil {
		return err
	}
	if cfg.flushInterval != "" {
		if b.StatsFlushInterval, err = flushInterval(cfg.flushInterval); err != nil {
			return underKey(keyFlushInterval, err)
		}
	}
	if cfg.collectorDir == "" {
		return nil
	}
	if len(b.StatsSinks) == 0 && b.StatsFlushInterval == nil {
		b.StatsFlushInterval = durationpb.New(time.Minute)
	}
	sink, cluster, err := collector(in, cfg.collectorDir)
	if err != nil {
		return underKey(keyCollectorDir, err)
	}
	b.StatsSinks = append(b.StatsSinks, sink)
	b.StaticResources.Clusters = withCluster(b.StaticResources.Clusters, cluster)
	return nil
}

// Envoy's bounds of the interval.
const minFlush, maxFlush = time.Millisecond, 5 * time.Minute

var protoDuration = regexp.MustCompile(`^\d+(\.\d{1,9})?s$`)

func flushInterval(text string) (*durationpb.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || !protoDuration.MatchString(text) || d < minFlush || d >= maxFlush {
		return nil, fmt.Errorf("%q is not an interval that Envoy takes: seconds such as \"5s\" or \"0.5s\", from 0.001s and below 300s", text)
	}
	return durationpb.New(d), nil
}

// staticResources begins with the cluster of the Consul agent, then has the
// user's, then those that this package adds.
func staticResources(in Inputs, cfg proxyConfig) (*bootstrapv3.Bootstrap_StaticResources, error) {
	agent, err := localAgent(in.Agent)
	if err != nil {
		return nil, err
	}
	r := &bootstrapv3.Bootstrap_StaticResources{Clusters: []*clusterv3.Cluster{agent}}
	if cfg.extraClusters != "" {
		extra, err := readList(cfg.extraClusters, func() *clusterv3.Cluster { return &clusterv3.Cluster{} })
		if err != nil {
			return nil, underKey(keyExtraClusters, err)
		}
		r.Clusters = append(r.Clusters, extra...)
		if err := distinct(r.Clusters); err != nil {
			return nil, underKey(keyExtraClusters, err)
		}
	}
	if cfg.extraListeners != "" {
		if r.Listeners, err = readList(cfg.extraListeners, func() *listenerv3.Listener { return &listenerv3.Listener{} }); err != nil {
			return nil, underKey(keyExtraListeners, err)
		}
	}
	exposed, err := exposures(in, cfg)
	if err != nil {
		return nil, err
	}
	for _, e := range exposed {
		listener, err := e.listener(in.Prometheus)
		if err != nil {
			return nil, err
		}
		r.Clusters = withCluster(r.Clusters, e.cluster)
		r.Listeners = append(r.Listeners, listener)
	}
	if len(exposed) > 0 && in.Prometheus.tls() {
		r.Secrets = in.Prometheus.secrets()
	}
	return r, underKey(keyExtraListeners, distinct(r.Listeners))
}

// distinct refuses two resources of one name: Envoy refuses two clusters, and
// of two listeners it leaves out one without a word.
func distinct[R interface{ GetName() string }](resources []R) error {
	seen := map[string]bool{}
	for _, r := range resources {
		if name := r.GetName(); name != "" && seen[name] {
			return fmt.Errorf("there are two of the name %q", name)
		}
		seen[r.GetName()] = true
	}
	return nil
}

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
				InitialMetadata: []*corev3.HeaderValue{{Key: "x-consul-token", Value: token}},
				TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: localAgentName},
				},
			}},
		},
	}
}
