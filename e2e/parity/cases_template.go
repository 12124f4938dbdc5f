package parity

// template is a bootstrap that users write for themselves.
const template = `{
  "admin": {"address": {"socket_address": {"address": "{{ .AdminBindAddress }}", "port_value": {{ .AdminBindPort }}}},
    "access_log": [{"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "{{ .AdminAccessLogPath }}"}}]},
  "node": {"cluster": "{{ .ProxyCluster }}", "id": "{{ .ProxyID }}", "metadata": {"namespace": "{{if .Namespace}}{{ .Namespace }}{{else}}default{{end}}", "source": "{{ .ProxySourceService }}", "dc": "{{ .Datacenter }}", "node": "{{ .NodeName }}"}},
  "static_resources": {"clusters": [{
      "name": "{{ .LocalAgentClusterName }}", "connect_timeout": "2s", "type": "STATIC", "http2_protocol_options": {},
      {{- if .AgentTLS }}"transport_socket": {"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {"validation_context": {"trusted_ca": {"inline_string": "{{ .AgentCAPEM }}"}}}}},{{ end }}
      "load_assignment": {"cluster_name": "{{ .LocalAgentClusterName }}", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
        {{- if .GRPC.AgentSocket }}"pipe": {"path": "{{ .AgentSocket }}"}{{ else }}"socket_address": {"address": "{{ .AgentAddress }}", "port_value": {{ .AgentPort }}}{{ end }}}}}]}]}
    }{{ if .StaticClustersJSON }},
    {{ .StaticClustersJSON }}{{ end }}]
    {{- if .StaticListenersJSON }}, "listeners": [{{ .StaticListenersJSON }}]{{ end }}
    {{- if .StaticSecretsJSON }}, "secrets": [{{ .StaticSecretsJSON }}]{{ end }}},
  {{ if .StatsSinksJSON }}"stats_sinks": [{{ .StatsSinksJSON }}],{{ end }}
  {{ if .StatsConfigJSON }}"stats_config": {{ .StatsConfigJSON }},{{ end }}
  {{ if .StatsFlushInterval }}"stats_flush_interval": "{{ .StatsFlushInterval }}",{{ end }}
  {{ if .TracingConfigJSON }}"tracing": {{ .TracingConfigJSON }},{{ end }}
  "dynamic_resources": {
    "lds_config": {"ads": {}, "resource_api_version": "V3"}, "cds_config": {"ads": {}, "resource_api_version": "V3"},
    "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": {
      "initial_metadata": [{"key": "x-consul-token", "value": "{{ .Token }}"}], "envoy_grpc": {"cluster_name": "{{ .LocalAgentClusterName }}"}}}}
}`

const tpl = "envoy_bootstrap_json_tpl"

// A template of the user's in the place of Consul's own.
var templateCases = []Case{
	{Name: "A template", Args: web + "-token t0ken", Config: map[string]any{tpl: template}},
	{Name: "A template with TLS", Args: web + "-grpc-addr https://127.0.0.1:9999 -grpc-ca-file ca.pem", Config: map[string]any{tpl: template}},
	{Name: "A template with a unix socket", Args: web + "-grpc-addr unix:///run/consul.sock", Config: map[string]any{tpl: template}},
	{Name: "A template for another node", Args: web + "-node-name node", Config: map[string]any{tpl: template}},
	{Name: "A template with everything in it", Args: web + promTLS + "-prometheus-scrape-path /scrape -prometheus-backend-port 20100", Config: map[string]any{
		tpl: template, scrape: listens, "envoy_telemetry_collector_bind_socket_dir": "/tmp", "envoy_tracing_json": zipkin,
		"envoy_extra_static_clusters_json": cluster("zipkin", 9411), "envoy_stats_tags": []string{"a=b"},
	}},
	{Name: "A template with a flush interval", Args: web, Config: map[string]any{tpl: template, "envoy_stats_flush_interval": "7s"}},
	{Name: "A template without placeholders", Args: web, Config: map[string]any{tpl: `{"node": {"id": "a", "cluster": "b"}}`}},

	{Name: "A template that is none", Args: web, Config: map[string]any{tpl: "{{ if }}"}, Error: `proxy config key "envoy_bootstrap_json_tpl": it is not a Go template: `},
	{Name: "A template with a field that does not exist", Args: web, Config: map[string]any{tpl: "{\n{{ .Nothing }}}"}, Error: "render it: template: bootstrap:2:3"},
	{Name: "A template that renders no JSON", Args: web, Config: map[string]any{tpl: "{{ .ProxyID }}"}, Error: "what it renders is no bootstrap: line 1, column 1: it is not JSON"},
	{Name: "A template that renders no bootstrap", Args: web, Config: map[string]any{tpl: `{"nodes": []}`}, Error: `what it renders is no bootstrap: line 1, column 2: envoy.config.bootstrap.v3.Bootstrap has no field "nodes"`, Differs: "Envoy refuses it"},
}
