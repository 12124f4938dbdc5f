package parity

import (
	"fmt"
	"strings"
)

// cluster is Envoy's JSON of a cluster with one address.
func cluster(name string, port int) string {
	return fmt.Sprintf(`{"name": %q, "connect_timeout": "5s", "type": "STATIC", "load_assignment": {"cluster_name": %q, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}}}]}]}}`, name, name, port)
}

// listener is Envoy's JSON of a listener that passes connections on to the
// cluster "one".
func listener(name string, port int) string {
	return fmt.Sprintf(`{"name": %q, "address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}, "filter_chains": [{"filters": [{"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "one"}}]}]}`, name, port)
}

const zipkin = `{"http": {"name": "envoy.tracers.zipkin", "typedConfig": {"@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig", "collector_cluster": "zipkin", "collector_endpoint_version": "HTTP_JSON", "collector_endpoint": "/api/v2/spans", "shared_span_context": false}}}`

// Envoy's own JSON, key by key.
var hatchCases = []Case{
	{Name: "An extra cluster", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1111)}},
	{Name: "Extra clusters", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1111) + ",\n\t" + cluster("two", 2222)}},
	{Name: "Extra clusters in brackets", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": "[" + cluster("one", 1111) + "," + cluster("two", 2222) + "]"}},
	{Name: "Names of fields in either form", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": strings.NewReplacer("connect_timeout", "connectTimeout", "load_assignment", "loadAssignment", "lb_endpoints", "lbEndpoints").Replace(cluster("one", 1111))}},
	{Name: "An object where there may be several", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one", "type": "STATIC", "load_assignment": {"cluster_name": "one", "endpoints": {"lb_endpoints": {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1111}}}}}}}`}},
	{Name: "Enumerators in another case", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": strings.Replace(cluster("one", 1111), "STATIC", "static", 1)}},
	{Name: "An extra listener", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1111), "envoy_extra_static_listeners_json": listener("door", 3333)}},
	{Name: "Extra listeners", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1111), "envoy_extra_static_listeners_json": listener("door", 3333) + "," + listener("gate", 4444)}},
	{Name: "Extra listeners beside those of Prometheus", Args: web, Config: map[string]any{scrape: listens, "envoy_extra_static_clusters_json": cluster("one", 1111), "envoy_extra_static_listeners_json": listener("door", 3333)}},
	{Name: "Extra clusters beside the collector", Args: web, Config: map[string]any{"envoy_telemetry_collector_bind_socket_dir": "/tmp", "envoy_extra_static_clusters_json": cluster("one", 1111)}},
	{Name: "Tracing", Args: web, Config: map[string]any{"envoy_tracing_json": zipkin, "envoy_extra_static_clusters_json": cluster("zipkin", 9411)}},
	{Name: "An extension that this driver does not know", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one", "connect_timeout": "1s", "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config": {"name": "cache", "dns_lookup_family": "V4_ONLY", "max_hosts": 12345}}}, "lb_policy": "CLUSTER_PROVIDED"}`}},
	{Name: "An extension without a known configuration", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": strings.TrimSuffix(cluster("one", 1111), "}") + `, "transport_socket": {"name": "raw", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}`}},

	{Name: "An extra cluster that is not JSON", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": "{\n  \"name\": one\n}"}, Error: `proxy config key "envoy_extra_static_clusters_json": line 2, column 11: it is not JSON`},
	{Name: "An extra cluster that ends too early", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one"`}, Error: "line 1, column 15: it is not JSON"},
	{Name: "An extra listener that is not JSON", Args: web, Config: map[string]any{"envoy_extra_static_listeners_json": "listener"}, Error: `proxy config key "envoy_extra_static_listeners_json": line 1, column 1: it is not JSON`},
	{Name: "Tracing that is not JSON", Args: web, Config: map[string]any{"envoy_tracing_json": "zipkin"}, Error: `proxy config key "envoy_tracing_json": line 1, column 1: it is not JSON`},
	{Name: "A stats config that is not JSON", Args: web, Config: map[string]any{"envoy_stats_config_json": "none"}, Error: `proxy config key "envoy_stats_config_json": line 1, column 1: it is not JSON`},
	{Name: "An extra sink that is not JSON", Args: web, Config: map[string]any{"envoy_extra_stats_sinks_json": "{]"}, Error: `proxy config key "envoy_extra_stats_sinks_json": line 1, column 2: it is not JSON`},
	{Name: "An extra listener that is empty", Args: web, Config: map[string]any{"envoy_extra_static_listeners_json": " "}, Error: "an object (envoy.config.listener.v3.Listener) is expected", Differs: "an empty list is no harm there"},

	{Name: "A cluster with a field that does not exist", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": "{\"name\": \"one\",\n \"timeout\": \"1s\"}"}, Error: `line 2, column 2: envoy.config.cluster.v3.Cluster has no field "timeout"`, Differs: "Envoy refuses it"},
	{Name: "A cluster with a field of another kind", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": {}}`}, Error: "line 1, column 10: name: a string is expected, got an object", Differs: "Envoy refuses it"},
	{Name: "A cluster of a type that does not exist", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one", "type": "SOLID"}`}, Error: `line 1, column 25: type: "SOLID" is unknown; it is one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST`, Differs: "Envoy refuses it"},
	{Name: "A cluster without a name", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"type": "STATIC"}`}, Error: "it breaks Envoy's rules: invalid Cluster.Name", Differs: "Envoy refuses it"},
	{Name: "A cluster that is the agent's", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("local_agent", 1)}, Error: `there are two of the name "local_agent"`, Differs: "Envoy refuses it"},
	{Name: "Two clusters of a name", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1) + "," + cluster("one", 2)}, Error: `there are two of the name "one"`, Differs: "Envoy refuses it"},
	{Name: "A cluster that closes the list and goes on", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1) + `], "listeners": [` + listener("door", 3333)}, Error: "the text should end here", Differs: "the consul command pastes the text, and more than clusters comes in"},
	{Name: "Two listeners of a name", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": cluster("one", 1111), "envoy_extra_static_listeners_json": listener("door", 3333) + "," + listener("door", 4444)}, Error: `proxy config key "envoy_extra_static_listeners_json": there are two of the name "door"`, Differs: "Envoy leaves one of them out without a word"},
	{Name: "A duration in minutes", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one", "connect_timeout": "1m"}`}, Error: "line 1, column 36: it is no google.protobuf.Duration", Differs: "Envoy refuses it"},
	{Name: "A field that is given twice", Args: web, Config: map[string]any{"envoy_extra_static_clusters_json": `{"name": "one", "name": "two"}`}, Error: `line 1, column 17: "name" is given twice`, Differs: "readers of JSON disagree which one holds"},
	{Name: "A configuration of no type", Args: web, Config: map[string]any{"envoy_tracing_json": `{"http": {"name": "x", "typed_config": {"collector_cluster": "y"}}}`}, Error: `line 1, column 40: the "@type" is missing`, Differs: "Envoy refuses it"},
	{Name: "A known configuration with a field that does not exist", Args: web, Config: map[string]any{"envoy_tracing_json": `{"http": {"name": "x", "typed_config": {"@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig", "port": 1}}}`}, Error: `envoy.config.trace.v3.ZipkinConfig has no field "port"`, Differs: "Envoy refuses it"},
	{Name: "A stats config with a list for an object", Args: web, Config: map[string]any{"envoy_stats_config_json": `[]`}, Error: "line 1, column 1: an object (envoy.config.metrics.v3.StatsConfig) is expected, got a list", Differs: "Envoy refuses it"},
	{Name: "A sink without a configuration of its type", Args: web, Config: map[string]any{"envoy_extra_stats_sinks_json": `{"name": "envoy.stat_sinks.statsd", "typed_config": {"@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink"}}`}, Error: "it breaks Envoy's rules: invalid StatsdSink.StatsdSpecifier", Differs: "Envoy refuses it"},
}
