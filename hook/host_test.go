package hook

import "github.com/hashicorp/nomad/api"

// hostRows have what fields mean on the host network, one for each decision.
func hostRows() []row {
	oneOn := func(port string) string { return "network {\n port \"http\" {\n" + port + "\n }\n}\n" }
	check := func(lines string) string {
		return "check {\n type = \"http\"\n path = \"/\"\n interval = \"10s\"\n timeout = \"1s\"\n" + lines + "\n}"
	}
	return []row{
		{
			field: "no network block", group: "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", pick: networks,
			want: `
			- mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 8080
			  port:
			    - label: connect-proxy-web
			`,
		},
		{
			field: "no network mode", group: "network {\n port \"http\" {}\n}\n" + web(sidecar("")), pick: networks,
			want: `
			- mode: host
			  port:
			    - label: http
			    - label: connect-proxy-web
			`,
		},
		{
			field: "service.port is a number", group: network + "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", pick: proxyBlock,
			want: `
			local_service_address: 127.0.0.1
			local_service_port: 8080
			`,
		},
		{
			field: "service.port is a number that is reserved", group: oneOn("static = 8080") + "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", pick: proxyAndPorts,
			want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: http
			      static: 8080
			  port:
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  local_service_port: 8080
			`,
		},
		{
			field: "no service.port", group: "service {\n name = \"web\"\n connect {\n" + upstream() + "\n }\n}", pick: block,
			want: `
			port: connect-proxy-web
			proxy:
			  upstreams:
			    - destination_name: db
			      port: connect_upstream_web_db
			standalone: true
			`,
		},
		{
			field: "to of the port", group: oneOn("to = 8080") + web(sidecar("")), pick: networks,
			want: `
			- mode: host
			  reserved_ports:
			    - label: http
			      static: 8080
			  port:
			    - label: connect-proxy-web
			`,
		},
		{field: "to = -1", group: oneOn("to = -1") + web(sidecar("port = \"mesh\"")), pick: firstPort, want: "\nlabel: http\n"},
		{field: "to is the static port", group: oneOn("static = 8080\n to = 8080") + web(sidecar("")), pick: firstPort, want: "\nlabel: http\nstatic: 8080\n"},
		{field: "to of another port", group: oneOn("to = 8080") + "service {\n name = \"web\"\n port = \"9090\"\n connect {\n sidecar_service {}\n }\n}", pick: firstPort, want: "\nlabel: http\nto: 8080\n"},
		{
			field: "address_mode", group: network + web(sidecar(""), `address_mode = "alloc"`, check("address_mode = \"alloc\"")), pick: firstService,
			want: `
			name: web
			port: http
			address_mode: auto
			check:
			  - type: http
			    path: /
			    interval: 10s
			    timeout: 1s
			`,
		},
		{
			field: "another address_mode", group: network + web(sidecar(""), `address_mode = "host"`, check("address_mode = \"host\"")), pick: firstService,
			want: `
			name: web
			port: http
			address_mode: host
			check:
			  - type: http
			    path: /
			    address_mode: host
			    interval: 10s
			    timeout: 1s
			`,
		},
		{
			field: "check.expose", group: network + web(sidecar(""), check("expose = true\n port = \"exposed\""), check("")), pick: firstService,
			want: `
			name: web
			port: http
			check:
			  - type: http
			    path: /
			    interval: 10s
			    timeout: 1s
			  - type: http
			    path: /
			    interval: 10s
			    timeout: 1s
			`,
		},
		{field: "host_network loopback", group: oneOn(`host_network = "loopback"`) + web(sidecar("")), pick: proxyBlock, want: "\nlocal_service_address: 127.0.0.1\n"},
		{field: "host_network default", group: oneOn(`host_network = "default"`) + web(sidecar("")), pick: proxyBlock, want: "\nlocal_service_address: 127.0.0.1\n"},
		{field: "another host_network", group: oneOn(`host_network = "lan"`) + web(sidecar("")), pick: proxyBlock, want: ""},
		{
			field: "the namespace of the group in Consul", group: network + "consul {\n namespace = \"ns\"\n partition = \"p\"\n}\n" + web(sidecar("")), pick: config,
			want: `
			consul:
			  namespace: ns
			  partition: p
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
		},
	}
}

func firstPort(g *api.TaskGroup) any {
	port, _ := ports{group: g, network: g.Networks[0]}.get("http")
	return port
}
