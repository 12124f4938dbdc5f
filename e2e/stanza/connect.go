package stanza

import "github.com/hashicorp/nomad/api"

// connectRows have every field of the connect block that Nomad's documentation has.
func connectRows() []Row {
	return []Row{
		{
			Name: "native", Group: Network + Web("native = true"), Pick: firstService,
			Want: `
			name: web
			port: http
			connect:
			  native: true
			`,
		},
		{
			Name: "sidecar_service", Group: Network + Web(Sidecar("")), Pick: whole,
			Want: `
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
			Name: "sidecar_service.port, a label of the group", Group: "network {\n port \"http\" {}\n port \"mesh\" {\n static = 21000\n }\n}\n" + Web(Sidecar(`port = "mesh"`)), Pick: proxyAndPort,
			Want: `
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
			Name: "sidecar_service.port, a new label", Group: Network + Web(Sidecar(`port = "mesh"`)), Pick: proxyAndPort,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: mesh
			port: mesh
			`,
		},
		{
			Name: "tags, meta, disable_default_tcp_check", Group: Network + Web(Sidecar("tags = [\"a\", \"b\"]\n meta {\n owner = \"me\"\n }\n disable_default_tcp_check = true")), Pick: block,
			Want: `
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
			Name: "proxy.local_service_address", Group: Network + Web(Proxy(`local_service_address = "127.0.0.2"`)), Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.2
			`,
		},
		{
			Name: "proxy.local_service_port", Group: Network + Web(Proxy("local_service_port = 8080")), Pick: proxyAndPorts,
			Want: `
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
			Name: "proxy.config", Group: Network + Web(Proxy("config {\n protocol = \"http\"\n envoy_stats_tags = [\"a=b\"]\n local_connect_timeout_ms = 250\n }")), Pick: proxyBlock,
			Want: `
			config:
			  envoy_stats_tags:
			    - a=b
			  local_connect_timeout_ms: 250
			  protocol: http
			local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "texts with templates in them", Group: Network + Web(Proxy("config {\n a = \"100%%{ $${a b} $${NOMAD_ALLOC_ID} $${env[\\\"HOME\\\"]}\"\n }")), Pick: proxyBlock,
			Want: `
			config:
			  a: 100%%{ $${a b} ${NOMAD_ALLOC_ID} ${env["HOME"]}
			local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "proxy.expose.path", Group: "network {\n port \"http\" {}\n port \"metrics\" {\n to = -1\n }\n}\n" + Web(Proxy("expose {\n path {\n path = \"/metrics\"\n protocol = \"http\"\n local_path_port = 9001\n listener_port = \"metrics\"\n }\n }")), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 9001
			  port:
			    - label: http
			    - label: metrics
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
