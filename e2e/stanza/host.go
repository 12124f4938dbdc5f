package stanza

import (
	"slices"

	"github.com/hashicorp/nomad/api"
)

// hostRows have what fields mean on the host network, one for each decision.
func hostRows() []Row {
	oneOn := func(port string) string { return "network {\n port \"http\" {\n" + port + "\n }\n}\n" }
	check := func(lines string) string {
		return "check {\n type = \"http\"\n path = \"/\"\n interval = \"10s\"\n timeout = \"1s\"\n" + lines + "\n}"
	}
	return []Row{
		{
			Name: "no network block", Group: "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: connect-service-web
			      static: 8080
			  port:
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "no network mode", Group: "network {\n port \"http\" {}\n}\n" + Web(Sidecar("")), Pick: networks,
			Want: `
			- mode: host
			  port:
			    - label: http
			    - label: connect-proxy-web
			`,
		},
		{
			Name: "service.port is a number", Group: Network + "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.1
			local_service_port: 8080
			`,
		},
		{
			Name: "service.port is a number that is reserved", Group: oneOn("static = 8080") + "service {\n name = \"web\"\n port = \"8080\"\n connect {\n sidecar_service {}\n }\n}", Pick: proxyAndPorts,
			Want: `
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
			Name: "no service.port", Group: "service {\n name = \"web\"\n connect {\n" + Upstream() + "\n }\n}", Pick: block,
			Want: `
			port: connect-proxy-web
			proxy:
			  upstreams:
			    - destination_name: db
			      local_bind_address: 127.0.0.1
			      port: connect_upstream_web_db
			standalone: true
			`,
		},
		{
			Name: "to of the port", Group: oneOn("to = 8080") + Web(Sidecar("")), Pick: networks,
			Want: `
			- mode: host
			  reserved_ports:
			    - label: http
			      static: 8080
			  port:
			    - label: connect-proxy-web
			`,
		},
		{Name: "to = -1", Group: oneOn("to = -1") + Web(Sidecar("port = \"mesh\"")), Pick: httpPort, Want: "\nlabel: http\n"},
		{Name: "to is the static port", Group: oneOn("static = 8080\n to = 8080") + Web(Sidecar("")), Pick: httpPort, Want: "\nlabel: http\nstatic: 8080\n"},
		{Name: "to of another port", Group: oneOn("to = 8080") + "service {\n name = \"web\"\n port = \"9090\"\n connect {\n sidecar_service {}\n }\n}", Pick: httpPort, Want: "\nlabel: http\nstatic: 8080\n"},
		{
			Name: "address_mode", Group: Network + Web(Sidecar(""), `address_mode = "alloc"`, check("address_mode = \"alloc\"")), Pick: firstService,
			Want: `
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
			Name: "another address_mode", Group: Network + Web(Sidecar(""), `address_mode = "host"`, check("address_mode = \"host\"")), Pick: firstService,
			Want: `
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
		{Name: "host_network loopback", Group: oneOn(`host_network = "loopback"`) + Web(Sidecar("")), Pick: proxyBlock, Want: "\nlocal_service_address: 127.0.0.1\n"},
		{Name: "host_network default", Group: oneOn(`host_network = "default"`) + Web(Sidecar("")), Pick: proxyBlock, Want: "\nlocal_service_address: 127.0.0.1\n"},
		{Name: "another host_network", Group: oneOn(`host_network = "lan"`) + Web(Sidecar("")), Pick: proxyBlock, Want: ""},
		{
			Name: "the namespace of the group in Consul", Group: Network + "consul {\n namespace = \"ns\"\n partition = \"p\"\n}\n" + Web(Sidecar("")), Pick: config,
			Want: `
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

func httpPort(g *api.TaskGroup) any {
	ports := slices.Concat(g.Networks[0].ReservedPorts, g.Networks[0].DynamicPorts)
	return ports[slices.IndexFunc(ports, func(p api.Port) bool { return p.Label == "http" })]
}
