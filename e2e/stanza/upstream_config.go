package stanza

// upstreamConfigRows have what becomes of the config of an upstream.
func upstreamConfigRows() []Row {
	return []Row{
		{
			Name: "config", Group: Network + Web(Upstream("config {\n protocol = \"http\"\n connect_timeout_ms = 5000\n envoy_listener_json = \"{}\"\n envoy_cluster_json = \"{}\"\n balance_outbound_connections = \"exact_balance\"\n limits {\n max_connections = 3\n max_pending_requests = 4\n max_concurrent_requests = 5\n }\n passive_health_check = {\n interval = 10000000000\n max_failures = 2\n enforcing_consecutive_5xx = 50\n max_ejection_percent = 20\n base_ejection_time = \"30s\"\n }\n mesh_gateway {\n mode = \"local\"\n }\n}")), Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.1
			upstreams:
			  - config:
			      balance_outbound_connections: exact_balance
			      connect_timeout_ms: 5000
			      envoy_cluster_json: '{}'
			      envoy_listener_json: '{}'
			      limits:
			        max_concurrent_requests: 5
			        max_connections: 3
			        max_pending_requests: 4
			      mesh_gateway:
			        mode: local
			      passive_health_check:
			        base_ejection_time: 30s
			        enforcing_consecutive_5xx: 50
			        interval: 10s
			        max_ejection_percent: 20
			        max_failures: 2
			      protocol: http
			    destination_name: db
			    local_bind_address: 127.0.0.1
			    port: connect_upstream_web_db
			`,
		},
	}
}
