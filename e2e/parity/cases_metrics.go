package parity

const (
	sinkOne  = `{"name": "envoy.stat_sinks.statsd", "typed_config": {"@type": "type.googleapis.com/envoy.config.metrics.v3.StatsdSink", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9125}}}}`
	sinkTwo  = `{"name": "envoy.stat_sinks.hystrix", "typedConfig": {"@type": "type.googleapis.com/envoy.config.metrics.v3.HystrixSink", "numBuckets": 5}}`
	promTLS  = "-prometheus-ca-file prometheus/ca.pem -prometheus-cert-file prometheus/cert.pem -prometheus-key-file prometheus/key.pem "
	scrape   = "envoy_prometheus_bind_addr"
	stats    = "envoy_stats_bind_addr"
	listens  = "0.0.0.0:20200"
	listens2 = "127.0.0.1:20201"
)

// Metrics: tags, sinks, and what is let out of the admin API.
var metricsCases = []Case{
	{Name: "Tags of the user", Args: web, Config: map[string]any{"envoy_stats_tags": []string{"Job=Shop", "canary", "a=b=c", "empty="}}},
	{Name: "A tag of the user replaces one of Consul's fixed ones", Args: web, Config: map[string]any{"envoy_stats_tags": []string{"local_cluster=mine", "consul.source.service=other", "consul.source.datacenter=x"}}},
	{Name: "A tag of the user does not replace one of Consul's rules", Args: web, Config: map[string]any{"envoy_stats_tags": []string{"consul.destination.service=x"}}},
	{Name: "One tag that is no list", Args: web, Config: map[string]any{"envoy_stats_tags": "a=b"}},
	{Name: "Tags that are numbers and booleans", Args: web, Config: map[string]any{"envoy_stats_tags": []any{10, 1.5, true, false}}},
	{Name: "Keys in another case", Args: web, Config: map[string]any{"Envoy_Stats_Tags": []string{"a=b"}, "ENVOY_STATS_FLUSH_INTERVAL": "7s"}},
	{Name: "A key that is spelled exactly goes first", Args: web, Config: map[string]any{"envoy_stats_flush_interval": "7s", "ENVOY_STATS_FLUSH_INTERVAL": "8s"}},
	{Name: "A key that is null is absent", Args: web, Config: map[string]any{"envoy_stats_tags": nil, "envoy_tracing_json": nil}},
	{Name: "Keys for the xDS server are not the bootstrap's", Args: web, Config: map[string]any{"protocol": "http", "local_connect_timeout_ms": 1000, "envoy_public_listener_json": "{}", "what_is_this": []int{1}}},
	{Name: "Without the deprecated tags", Args: web + "-omit-deprecated-tags", Config: map[string]any{"envoy_stats_tags": []string{"a=b"}}},
	{Name: "The user's own stats config", Args: web, Config: map[string]any{"envoy_stats_config_json": `{"stats_tags": [{"tag_name": "x", "fixed_value": "y"}], "useAllDefaultTags": false}`}},
	{Name: "The user's own stats config goes before tags", Args: web + "-omit-deprecated-tags", Config: map[string]any{"envoy_stats_config_json": `{}`, "envoy_stats_tags": []string{"a=b"}}},
	{Name: "A flush interval", Args: web, Config: map[string]any{"envoy_stats_flush_interval": "0.5s"}},

	{Name: "statsd over UDP", Args: web, Config: map[string]any{"envoy_statsd_url": "udp://127.0.0.1:9125"}},
	{Name: "statsd over UDP on IPv6", Args: web, Config: map[string]any{"envoy_statsd_url": "udp://[::1]:9125"}},
	{Name: "dogstatsd over UDP", Args: web, Config: map[string]any{"envoy_dogstatsd_url": "udp://127.0.0.1:8125"}},
	{Name: "dogstatsd at a unix socket", Args: web, Config: map[string]any{"envoy_dogstatsd_url": "unix:///var/run/dogstatsd.sock"}},
	{Name: "statsd at an address of the environment", Args: web, Env: []string{"STATSD_URL=udp://127.0.0.3:9125"}, Config: map[string]any{"envoy_statsd_url": "$STATSD_URL"}},
	{Name: "statsd at the host's address", Args: web, Env: []string{"HOST_IP=127.0.0.4"}, Config: map[string]any{"envoy_statsd_url": "udp://${HOST_IP}:9125"}},
	{Name: "statsd at the host's address without braces", Args: web, Env: []string{"HOST_IP=127.0.0.4"}, Config: map[string]any{"envoy_statsd_url": "udp://$HOST_IP:9125"}},
	{Name: "Both sinks and another in their order", Args: web, Config: map[string]any{"envoy_dogstatsd_url": "udp://127.0.0.1:8125", "envoy_statsd_url": "udp://127.0.0.1:9125", "envoy_extra_stats_sinks_json": sinkTwo}},
	{Name: "Another sink", Args: web, Config: map[string]any{"envoy_extra_stats_sinks_json": sinkOne}},
	{Name: "Other sinks", Args: web, Config: map[string]any{"envoy_extra_stats_sinks_json": sinkOne + ",\n" + sinkTwo}},
	{Name: "Consul's telemetry collector", Args: web, Config: map[string]any{"envoy_telemetry_collector_bind_socket_dir": "/tmp/consul/connect-proxy"}},
	{Name: "Consul's telemetry collector with a flush interval", Args: web, Config: map[string]any{"envoy_telemetry_collector_bind_socket_dir": "/tmp/x/", "envoy_stats_flush_interval": "10s"}},
	{Name: "Consul's telemetry collector beside a sink", Args: web, Config: map[string]any{"envoy_telemetry_collector_bind_socket_dir": "/tmp", "envoy_statsd_url": "udp://127.0.0.1:9125"}},

	{Name: "Prometheus", Args: web, Config: map[string]any{scrape: listens}},
	{Name: "Prometheus at another path", Args: web + "-prometheus-scrape-path /scrape", Config: map[string]any{scrape: listens}},
	{Name: "Prometheus on IPv6", Args: web, Config: map[string]any{scrape: "[::]:20200"}},
	{Name: "Prometheus through a program that merges", Args: web + "-prometheus-backend-port 20100", Config: map[string]any{scrape: listens}},
	{Name: "A merging program is at the admin API's address", Args: web + "-prometheus-backend-port 20100 -admin-bind 127.0.0.5:19000", Config: map[string]any{scrape: listens}},
	{Name: "Prometheus flags without its address are nothing", Args: web + promTLS + "-prometheus-backend-port 20100 -prometheus-scrape-path /scrape"},
	{Name: "Prometheus with TLS", Args: web + promTLS, Config: map[string]any{scrape: listens}},
	{Name: "Prometheus with TLS and a directory of CAs", Args: web + "-prometheus-ca-path prometheus -prometheus-cert-file prometheus/cert.pem -prometheus-key-file prometheus/key.pem", Config: map[string]any{scrape: listens}},
	{Name: "A directory goes before a file of CAs for Prometheus", Args: web + promTLS + "-prometheus-ca-path prometheus", Config: map[string]any{scrape: listens}},
	{Name: "TLS of Prometheus is on the stats listener, too", Args: web + promTLS, Config: map[string]any{stats: listens2}},
	{Name: "Stats", Args: web, Config: map[string]any{stats: listens2}},
	{Name: "Prometheus and stats and readiness", Args: web + "-envoy-ready-bind-address 127.0.0.1 -envoy-ready-bind-port 20300", Config: map[string]any{scrape: listens, stats: listens2}},
	{Name: "Prometheus through a program that merges and stats", Args: web + "-prometheus-backend-port 20100", Config: map[string]any{scrape: listens, stats: listens2}},
	{Name: "Prometheus and stats and the collector", Args: web, Config: map[string]any{scrape: listens, stats: listens2, "envoy_telemetry_collector_bind_socket_dir": "/tmp"}},
	{Name: "A cluster of the user's is where the admin API is", Args: web, Config: map[string]any{scrape: listens, "envoy_extra_static_clusters_json": cluster("self_admin", 19009)}},

	{Name: "Half of the TLS of Prometheus", Args: web + "-prometheus-cert-file prometheus/cert.pem", Error: "TLS for Prometheus metrics needs a certificate, its key and a CA"},
	{Name: "The TLS of Prometheus without a CA", Args: web + "-prometheus-cert-file prometheus/cert.pem -prometheus-key-file prometheus/key.pem", Error: "TLS for Prometheus metrics needs a certificate, its key and a CA"},
	{Name: "An address of Prometheus without a port", Args: web, Config: map[string]any{scrape: "0.0.0.0"}, Error: `proxy config key "envoy_prometheus_bind_addr": "0.0.0.0" is not an address to listen on, ip:port`},
	{Name: "An address of stats without a port", Args: web, Config: map[string]any{stats: "0.0.0.0"}, Error: `proxy config key "envoy_stats_bind_addr": "0.0.0.0" is not an address to listen on`},
	{Name: "A backend port that is no number", Args: web + "-prometheus-backend-port metrics", Config: map[string]any{scrape: listens}, Error: `-prometheus-backend-port: "metrics" is not a port between 1 and 65535`},
	{Name: "Tags that are an object", Args: web, Config: map[string]any{"envoy_stats_tags": []any{map[string]any{"a": "b"}}}, Error: `proxy config key "envoy_stats_tags": a list of strings is expected, got a list with an object in it`},
	{Name: "A text that is an object", Args: web, Config: map[string]any{"envoy_tracing_json": map[string]any{"http": map[string]any{}}}, Error: `proxy config key "envoy_tracing_json": a string is expected, got an object`},
	{Name: "statsd over TCP", Args: web, Config: map[string]any{"envoy_statsd_url": "tcp://127.0.0.1:9125"}, Error: `proxy config key "envoy_statsd_url": "tcp://127.0.0.1:9125" is not an address (udp://<ip>:<port> or unix:///<path>)`},
	{Name: "statsd without a port", Args: web, Config: map[string]any{"envoy_statsd_url": "udp://127.0.0.1"}, Error: "Envoy takes an IP address and a port"},
	{Name: "dogstatsd at no address", Args: web, Config: map[string]any{"envoy_dogstatsd_url": "somewhere"}, Error: `proxy config key "envoy_dogstatsd_url": "somewhere" is not an address`},
	{Name: "statsd at a variable that is not set", Args: web, Config: map[string]any{"envoy_statsd_url": "$STATSD_URL"}, Error: "the environment variable STATSD_URL is not set"},
	{Name: "statsd at a variable in braces", Args: web, Env: []string{"STATSD_URL=udp://127.0.0.3:9125"}, Config: map[string]any{"envoy_statsd_url": "${STATSD_URL}"}, Error: `"${STATSD_URL}" cannot stand in an address: only ${HOST_IP} can, or one $VARIABLE as the whole`},
	{Name: "statsd at a variable within an address", Args: web, Env: []string{"PORT=9125"}, Config: map[string]any{"envoy_statsd_url": "udp://127.0.0.1:$PORT"}, Error: `"$PORT" cannot stand in an address`},

	{Name: "statsd at an address of the environment that is none", Args: web, Env: []string{"STATSD_URL=secret"}, Config: map[string]any{"envoy_statsd_url": "$STATSD_URL"}, Error: `the value of "$STATSD_URL" is not an address`},
	{Name: "statsd at a unix socket with a host", Args: web, Config: map[string]any{"envoy_statsd_url": "unix://a/b"}, Error: `"unix://a/b" is not an address`, Differs: "the consul command loses a part of the path"},
	{Name: "statsd at a host name", Args: web, Config: map[string]any{"envoy_statsd_url": "udp://localhost:9125"}, Error: "Envoy takes an IP address and a port", Differs: "Envoy refuses a name"},
	{Name: "A flush interval in minutes", Args: web, Config: map[string]any{"envoy_stats_flush_interval": "1m"}, Error: `proxy config key "envoy_stats_flush_interval": "1m" is not an interval that Envoy takes: seconds such as "5s"`, Differs: "Envoy refuses it: it takes seconds only"},
	{Name: "A flush interval that is too long", Args: web, Config: map[string]any{"envoy_stats_flush_interval": "300s"}, Error: "from 0.001s and below 300s", Differs: "Envoy refuses it: its bound is 5 minutes"},
	{Name: "A flush interval without a unit", Args: web, Config: map[string]any{"envoy_stats_flush_interval": 10}, Error: `"10" is not an interval that Envoy takes`, Differs: "Envoy refuses it: it takes seconds only"},
	{Name: "Prometheus at a host name", Args: web, Config: map[string]any{scrape: "localhost:20200"}, Error: "is not an address to listen on", Differs: "Envoy refuses a listener whose address is a name"},
	{Name: "Prometheus at no host", Args: web, Config: map[string]any{scrape: ":20200"}, Error: "is not an address to listen on", Differs: "Envoy refuses an empty address"},
	{Name: "An empty scrape path", Args: web + "-prometheus-scrape-path=", Config: map[string]any{scrape: listens}, Error: "-prometheus-scrape-path is empty", Differs: "it would be a path that no request has"},
	{Name: "Prometheus with TLS and stats", Args: web + promTLS, Config: map[string]any{scrape: listens, stats: listens2}, Differs: "the consul command gives each secret once per listener, which Envoy refuses"},
	{Name: "Prometheus through a program that merges beside a cluster of the user's", Args: web + "-prometheus-backend-port 20100", Config: map[string]any{scrape: listens, "envoy_extra_static_clusters_json": cluster("self_admin", 19009)}, Differs: "the consul command leaves out the cluster that it routes to, which Envoy refuses"},
	{Name: "Keys that differ in case only", Args: web, Config: map[string]any{"Envoy_Stats_Tags": []string{"a=b"}, "ENVOY_stats_tags": []string{"c=d"}}, Error: `proxy config key "envoy_stats_tags": it is given 2 times: "ENVOY_stats_tags", "Envoy_Stats_Tags"`, Differs: "the consul command takes any one of them"},
}
