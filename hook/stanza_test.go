package hook

import "github.com/hashicorp/nomad/api"

// stanzaRows have every field of the connect block that Nomad's documentation has.
func stanzaRows() []row {
	return []row{
		{
			field: "native", group: network + web("native = true"), pick: firstService,
			want: `
			name: web
			port: http
			connect:
			  native: true
			`,
		},
		{
			field: "sidecar_service", group: network + web(sidecar("")), pick: whole,
			want: `
			name: g
			task:
			  - name: app
			    driver: raw_exec
			    config:
			      command: app
			  - name: connect-proxy-web
			    driver: connect
			    lifecycle:
			      hook: prestart
			      sidecar: true
			    config:
			      service: web
			      sidecar_service:
			        port: connect-proxy-web
			        proxy:
			          local_service_address: 127.0.0.1
			    constraint:
			      - attribute: ${attr.driver.connect.envoy.version}
			        operator: is_set
			      - attribute: ${attr.driver.connect.consul.version}
			        operator: is_set
			    resources:
			      cpu: 250
			      memory: 128
			    restart:
			      interval: 10s
			      attempts: 5
			      delay: 1s
			      mode: delay
			    kill_timeout: 10s
			    logs:
			      max_files: 2
			      max_file_size: 2
			    kind: connect-native:web
			network:
			  - mode: host
			    port:
			      - label: http
			      - label: connect-proxy-web
			service:
			  - name: web
			    port: http
			`,
		},
		{
			field: "sidecar_service.port, a label of the group", group: "network {\n port \"http\" {}\n port \"mesh\" {\n static = 21000\n }\n}\n" + web(sidecar(`port = "mesh"`)), pick: proxyAndPort,
			want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: mesh
			      static: 21000
			  port:
			    - label: http
			port: mesh
			`,
		},
		{
			field: "sidecar_service.port, a new label", group: network + web(sidecar(`port = "mesh"`)), pick: proxyAndPort,
			want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: mesh
			port: mesh
			`,
		},
		{
			field: "tags, meta, disable_default_tcp_check", group: network + web(sidecar("tags = [\"a\", \"b\"]\n meta {\n owner = \"me\"\n }\n disable_default_tcp_check = true")), pick: block,
			want: `
			disable_default_tcp_check: true
			meta:
			  owner: me
			port: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			tags:
			  - a
			  - b
			`,
		},
		{
			field: "proxy.local_service_address", group: network + web(proxy(`local_service_address = "127.0.0.2"`)), pick: proxyBlock,
			want: `
			local_service_address: 127.0.0.2
			`,
		},
		{
			field: "proxy.local_service_port", group: network + web(proxy("local_service_port = 8080")), pick: proxyAndPorts,
			want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 8080
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  local_service_port: 8080
			`,
		},
		{
			field: "proxy.config", group: network + web(proxy("config {\n protocol = \"http\"\n envoy_stats_tags = [\"a=b\"]\n local_connect_timeout_ms = 250\n }")), pick: proxyBlock,
			want: `
			config:
			  envoy_stats_tags:
			    - a=b
			  local_connect_timeout_ms: 250
			  protocol: http
			local_service_address: 127.0.0.1
			`,
		},
		{
			field: "proxy.expose.path", group: "network {\n port \"http\" {}\n port \"metrics\" {\n to = -1\n }\n}\n" + web(proxy("expose {\n path {\n path = \"/metrics\"\n protocol = \"http\"\n local_path_port = 9001\n listener_port = \"metrics\"\n }\n }")), pick: proxyAndPorts,
			want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: metrics
			      to: -1
			    - label: connect-proxy-web
			proxy:
			  expose:
			    path:
			      - listener_port: metrics
			        local_path_port: 9001
			        path: /metrics
			        protocol: http
			  local_service_address: 127.0.0.1
			`,
		},
	}
}

func proxyAndPort(g *api.TaskGroup) any {
	return map[string]any{"network": g.Networks[0], "port": block(g).(map[string]any)["port"]}
}
