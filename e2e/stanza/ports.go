package stanza

import "github.com/hashicorp/nomad/api"

// portRows have what becomes of ports that only a network of the allocation's own
// can have: mapped ones, and numbers that every sidecar could have there.
func portRows() []Row {
	group := func(ports string) string { return "network {\n mode = \"host\"\n" + ports + "\n}\n" }
	metrics := func(ports, more string, connect ...string) string {
		config := "config {\n envoy_prometheus_bind_addr = \"0.0.0.0:9102\"\n }\n"
		for _, line := range connect {
			config += line
		}
		return group("port \"http\" {}\n"+ports) + Web(Proxy(config)) + more
	}
	return []Row{
		{
			Name: "to of a port that another service names", Group: group("port \"http\" {\n to = 4433\n}") +
				"service {\n name = \"ingress\"\n port = \"http\"\n}\nservice {\n name = \"web\"\n port = 4433\n connect {\n sidecar_service {}\n }\n}", Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: http
			      static: 4433
			  port:
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "to of a port that nothing names", Group: group("port \"http\" {}\nport \"admin\" {\n to = 9000\n}") + Web(Sidecar("")), Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: admin
			      static: 9000
			  port:
			    - label: http
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "to on two host networks", Group: group("port \"http\" {\n to = 8080\n}\nport \"lan\" {\n to = 8080\n host_network = \"lan\"\n}") + Web(Sidecar("")), Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: http
			      static: 8080
			    - label: lan
			      static: 8080
			      host_network: lan
			  port:
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "to of the sidecar's port", Group: group("port \"http\" {}\nport \"mesh\" {\n to = 20000\n}") + Web(Sidecar(`port = "mesh"`)), Pick: networks,
			Want: "\n- mode: host\n  port:\n    - label: http\n    - label: mesh\n",
		},
		{
			Name: "to beside a static port that nothing names", Group: group("port \"http\" {}\nport \"old\" {\n static = 80\n to = 8080\n}") + Web(Sidecar("")), Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: old
			      static: 80
			      to: 8080
			  port:
			    - label: http
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "to of an upstream's port", Group: group("port \"http\" {}\nport \"db\" {\n to = 9191\n}") + Web(Upstream()), Dynamic: true, Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: db
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  upstreams:
			    - destination_name: db
			      local_bind_address: 127.0.0.1
			      port: db
			`,
		},
		{
			Name: "a port of Nomad's own name", Group: group("port \"http\" {}\nport \"connect-proxy-web\" {\n static = 25001\n}") + Web(Sidecar("")), Pick: proxyAndPort,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect-proxy-web
			      static: 25001
			  port:
			    - label: http
			port: connect-proxy-web
			`,
		},
		{
			Name: "metrics on a port that is mapped", Group: metrics("port \"envoy\" {\n to = 9102\n}", ""), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: envoy
			    - label: connect-proxy-web
			proxy:
			  config:
			    envoy_prometheus_bind_addr: 0.0.0.0:${NOMAD_PORT_envoy}
			  local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "metrics on a static port", Group: metrics("port \"envoy\" {\n static = 9102\n}", ""), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: envoy
			      static: 9102
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  config:
			    envoy_prometheus_bind_addr: 0.0.0.0:9102
			  local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "metrics on a number that the group speaks of", Group: metrics("", "service {\n name = \"web-metrics\"\n port = \"9102\"\n address_mode = \"alloc\"\n}\n"), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 9102
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  config:
			    envoy_prometheus_bind_addr: 0.0.0.0:9102
			  local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "metrics on a number without a port", Group: metrics("", ""), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: connect_listener_web
			    - label: connect-proxy-web
			proxy:
			  config:
			    envoy_prometheus_bind_addr: 0.0.0.0:${NOMAD_PORT_connect_listener_web}
			  local_service_address: 127.0.0.1
			`,
			Warning: `group "g", service "web": envoy_prometheus_bind_addr is on port 9102, which every sidecar can have in a network of its own, and one can on the host network: Envoy listens on the new port "connect_listener_web" instead; give the group port "metrics" { to = 9102 }, which is then Envoy's, or { static = 9102 }`,
		},
		{
			Name: "metrics behind an exposed path", Group: metrics("port \"envoy\" {\n to = 9102\n}\nport \"scrape\" {\n to = -1\n}", "",
				"expose {\n path {\n path = \"/metrics\"\n protocol = \"http\"\n local_path_port = 9102\n listener_port = \"scrape\"\n }\n }"), Pick: proxyBlock,
			Want: `
			config:
			  envoy_prometheus_bind_addr: 0.0.0.0:${NOMAD_PORT_envoy}
			expose:
			  path:
			    - listener_port: scrape
			      local_path_port: ${NOMAD_PORT_envoy}
			      path: /metrics
			      protocol: http
			local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "an upstream's listener in Envoy's own JSON", Group: Network + Web(Upstream("config {\n envoy_listener_json = \"{\\\"port_value\\\": 9191}\"\n }")), Dynamic: true, Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.1
			upstreams:
			  - config:
			      envoy_listener_json: '{"port_value": ${NOMAD_PORT_connect_upstream_web_db}}'
			    destination_name: db
			    local_bind_address: 127.0.0.1
			    port: connect_upstream_web_db
			`,
		},
		{
			Name: "the public listener in Envoy's own JSON", Group: group("port \"http\" {}\nport \"mesh\" {\n to = 20000\n}") +
				Web(Sidecar("port = \"mesh\"\n proxy {\n config {\n envoy_public_listener_json = \"{\\\"port_value\\\": 20000}\"\n }\n }")), Pick: proxyBlock,
			Want: `
			config:
			  envoy_public_listener_json: '{"port_value": ${NOMAD_PORT_mesh}}'
			local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "the public listener on a number of its own", Group: Network + Web(Proxy("config {\n envoy_public_listener_json = \"{\\\"port_value\\\": 20000}\"\n }")), Pick: proxyBlock,
			Want: `
			config:
			  envoy_public_listener_json: '{"port_value": 20000}'
			local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "listeners in Envoy's own JSON", Group: group("port \"http\" {}\nport \"more\" {\n to = 9300\n}") +
				Web(Proxy("config {\n bind_port = 20000\n envoy_extra_static_listeners_json = \"{\\\"address\\\": {\\\"socket_address\\\": {\\\"address\\\": \\\"0.0.0.0\\\", \\\"port_value\\\": 9300}}}\"\n }")), Pick: proxyBlock,
			Want: `
			config:
			  envoy_extra_static_listeners_json: '{"address": {"socket_address": {"address": "0.0.0.0", "port_value": ${NOMAD_PORT_more}}}}'
			local_service_address: 127.0.0.1
			`,
		},
	}
}

// checkRows have what becomes of the checks of services.
func checkRows() []Row {
	check := func(lines string) string {
		return "check {\n type = \"http\"\n path = \"/\"\n interval = \"10s\"\n timeout = \"1s\"\n" + lines + "\n}"
	}
	checked := func(g *api.TaskGroup) any {
		return map[string]any{"service": g.Services[0], "network": g.Networks[0], "expose": proxyBlock(g).(map[string]any)["expose"]}
	}
	return []Row{
		{
			Name: "check.expose on a port", Group: Network + Web(Sidecar(""), check("expose = true\n port = \"exposed\""), check("")), Pick: checked,
			Want: `
			expose:
			  path:
			    - listener_port: exposed
			      local_path_port: ${NOMAD_PORT_http}
			      path: /
			network:
			  mode: host
			  port:
			    - label: http
			    - label: exposed
			    - label: connect-proxy-web
			service:
			  name: web
			  port: http
			  check:
			    - type: http
			      path: /
			      port: exposed
			      interval: 10s
			      timeout: 1s
			    - type: http
			      path: /
			      interval: 10s
			      timeout: 1s
			`,
		},
		{
			Name: "check.expose, and a service on a number", Group: "service {\n name = \"web\"\n port = \"9001\"\n connect {\n sidecar_service {}\n }\n" + check("expose = true") + "\n}", Pick: checked,
			Want: `
			expose:
			  path:
			    - listener_port: connect_check_web
			      local_path_port: 9001
			      path: /
			network:
			  mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 9001
			  port:
			    - label: connect_check_web
			    - label: connect-proxy-web
			service:
			  name: web
			  port: "9001"
			  check:
			    - type: http
			      path: /
			      port: connect_check_web
			      interval: 10s
			      timeout: 1s
			`,
		},
		{
			Name: "check.expose of gRPC", Group: Network + Web(Sidecar(""), "check {\n type = \"grpc\"\n path = \"/grpc.health.v1.Health/Check\"\n expose = true\n interval = \"10s\"\n timeout = \"1s\"\n}"),
			Pick: func(g *api.TaskGroup) any { return proxyBlock(g).(map[string]any)["expose"] },
			Want: `
			path:
			  - listener_port: connect_check_web
			    local_path_port: ${NOMAD_PORT_http}
			    path: /grpc.health.v1.Health/Check
			    protocol: http2
			`,
		},
		{
			Name: "check.expose where a path is exposed already", Group: "network {\n port \"http\" {\n static = 8080\n }\n port \"live\" {\n to = -1\n }\n}\n" +
				"service {\n name = \"web\"\n port = \"8080\"\n connect {\n" + Proxy("expose {\n path {\n path = \"/\"\n local_path_port = 8080\n listener_port = \"live\"\n }\n }") + "\n }\n" + check("expose = true\n port = \"live\"") + "\n}",
			Pick: func(g *api.TaskGroup) any { return proxyBlock(g).(map[string]any)["expose"] },
			Want: `
			path:
			  - listener_port: live
			    local_path_port: 8080
			    path: /
			`,
		},
		{
			Name: "address_mode of services without a sidecar", Group: Network + "service {\n name = \"metrics\"\n port = \"9090\"\n address_mode = \"alloc\"\n" + check("address_mode = \"alloc\"\n port = \"9091\"") + "\n}\n" + Web(Sidecar("")),
			Pick: func(g *api.TaskGroup) any { return []any{g.Networks[0], g.Services[0]} },
			Want: `
			- mode: host
			  reserved_ports:
			    - label: connect-service-metrics
			      static: 9090
			    - label: connect-service-metrics-2
			      static: 9091
			  port:
			    - label: http
			    - label: connect-proxy-web
			- name: metrics
			  port: "9090"
			  address_mode: auto
			  check:
			    - type: http
			      path: /
			      port: "9091"
			      interval: 10s
			      timeout: 1s
			`,
		},
		{
			Name: "one instance on a node, by the service's number", Group: "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", Dynamic: true, Pick: constraints,
			Want: "\n- value: \"true\"\n  operator: distinct_hosts\n",
		},
		{
			Name: "one instance on a node, by to", Group: "network {\n port \"http\" {\n to = 8080\n }\n}\n" + Web(Sidecar("")), Dynamic: true, Pick: constraints,
			Want: "\n- value: \"true\"\n  operator: distinct_hosts\n",
		},
	}
}
