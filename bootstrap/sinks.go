package bootstrap

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// statsSinks are where Envoy pushes its stats to, in the consul command's order.
func statsSinks(in Inputs, cfg proxyConfig) ([]*metricsv3.StatsSink, error) {
	var sinks []*metricsv3.StatsSink
	for _, s := range []struct {
		key, url, name string
		config         func(*corev3.Address) proto.Message
	}{
		{keyStatsdURL, cfg.statsdURL, "envoy.stat_sinks.statsd", func(a *corev3.Address) proto.Message {
			return &metricsv3.StatsdSink{StatsdSpecifier: &metricsv3.StatsdSink_Address{Address: a}}
		}},
		{keyDogstatsdURL, cfg.dogstatsdURL, "envoy.stat_sinks.dog_statsd", func(a *corev3.Address) proto.Message {
			return &metricsv3.DogStatsdSink{DogStatsdSpecifier: &metricsv3.DogStatsdSink_Address{Address: a}}
		}},
	} {
		if s.url == "" {
			continue
		}
		addr, err := sinkAddress(s.url, in.Env)
		if err != nil {
			return nil, underKey(s.key, err)
		}
		sink, err := statsSink(s.name, s.config(addr))
		if err != nil {
			return nil, underKey(s.key, err)
		}
		sinks = append(sinks, sink)
	}
	if cfg.extraSinks != "" {
		extra, err := readList(cfg.extraSinks, func() *metricsv3.StatsSink { return &metricsv3.StatsSink{} })
		if err != nil {
			return nil, underKey(keyExtraSinks, err)
		}
		sinks = append(sinks, extra...)
	}
	return sinks, nil
}

func statsSink(name string, config proto.Message) (*metricsv3.StatsSink, error) {
	typed, err := anyOf(config)
	if err != nil {
		return nil, err
	}
	return &metricsv3.StatsSink{Name: name, ConfigType: &metricsv3.StatsSink_TypedConfig{TypedConfig: typed}}, nil
}

// hostIP is the one variable that may stand within an address.
const hostIP = "HOST_IP"

var variable = regexp.MustCompile(`\$(?:\{([^}]*)\}|(\w+))?`)

// sinkAddress reads "udp://ip:port" or "unix:///path". An address that is a
// "$VARIABLE" as a whole is that variable's value.
func sinkAddress(text string, env map[string]string) (*corev3.Address, error) {
	expanded, err := expand(text, env)
	if err != nil {
		return nil, err
	}
	what := strconv.Quote(text)
	if expanded != text { // the environment's values are nobody's to read
		what = "the value of " + what
	}
	const want = "udp://<ip>:<port> or unix:///<path>"
	u, err := url.Parse(expanded)
	if err != nil {
		return nil, fmt.Errorf("%s is not an address (%s)", what, want)
	}
	switch {
	case u.Scheme == "udp":
		ip, ipErr := netip.ParseAddr(u.Hostname())
		port, portErr := strconv.ParseUint(u.Port(), 10, 16)
		if ipErr != nil || portErr != nil || ip.Zone() != "" {
			return nil, fmt.Errorf("%s is not an address (%s): Envoy takes an IP address and a port", what, want)
		}
		return socketAddress(netip.AddrPortFrom(ip, uint16(port))), nil
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		return pipe(u.Path, 0), socketPath(u.Path)
	}
	return nil, fmt.Errorf("%s is not an address (%s)", what, want)
}

func expand(text string, env map[string]string) (string, error) {
	if name, ok := strings.CutPrefix(text, "$"); ok && len(name) > 1 && !strings.ContainsAny(name, "${}") {
		value, set := env[name]
		if !set || value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	}
	var err error
	out := variable.ReplaceAllStringFunc(text, func(found string) string {
		if strings.Trim(found, "${}") != hostIP {
			err = fmt.Errorf("%q cannot stand in an address: only ${%s} can, or one $VARIABLE as the whole", found, hostIP)
		} else if env[hostIP] == "" {
			err = errors.New("the environment variable " + hostIP + " is not set")
		}
		return env[hostIP]
	})
	return out, err
}

const collectorName = "consul_telemetry_collector_loopback"

// collector sends metrics to Consul's telemetry collector, through a listener
// that Consul's xDS server makes at the same path: the hash of the proxy's ID
// keeps it short and its own.
func collector(in Inputs, dir string) (*metricsv3.StatsSink, *clusterv3.Cluster, error) {
	hash := sha1.Sum([]byte(in.namespace() + "_" + in.Proxy.ID))
	socket := path.Join(dir, base64.RawURLEncoding.EncodeToString(hash[:])+".sock")
	cluster, err := staticCluster(collectorName, pipe(socket, 0), http2())
	if err = errors.Join(err, socketPath(socket)); err != nil {
		return nil, nil, err
	}
	sink, err := statsSink("envoy.stat_sinks.metrics_service", &metricsv3.MetricsServiceConfig{
		TransportApiVersion: corev3.ApiVersion_V3,
		GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: collectorName},
		}},
		EmitTagsAsLabels: true,
	})
	return sink, cluster, err
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
