package stanza

import "github.com/hashicorp/nomad/api"

// upstreamRows have every field of upstreams.
func upstreamRows() []Row {
	return []Row{
		{
			Name: "destination_name, local_bind_port", Group: Network + Web(Upstream()), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect_upstream_web_db
			      static: 9191
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  upstreams:
			    - destination_name: db
			      local_bind_address: 127.0.0.1
			      port: connect_upstream_web_db
			`,
		},
		{
			Name: "local_bind_port, one instance on a node", Group: Network + Web(Upstream()), Pick: constraints,
			Want: `
			- value: "true"
			  operator: distinct_hosts
			`,
		},
		{Name: "dynamic ports, more instances on a node", Group: Network + Web(Upstream()), Dynamic: true, Pick: constraints},
		{
			Name: "the app's variables", Group: Network + Web(Upstream()), Pick: appEnv,
			Want: `
			NOMAD_UPSTREAM_ADDR_db: 127.0.0.1:9191
			NOMAD_UPSTREAM_IP_db: 127.0.0.1
			NOMAD_UPSTREAM_PORT_db: "9191"
			`,
		},
		{
			Name: "local_bind_port, reserved already", Group: "network {\n port \"http\" {}\n port \"db\" {\n static = 9191\n host_network = \"loopback\"\n }\n}\n" + Web(Upstream()), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: db
			      static: 9191
			      host_network: loopback
			  port:
			    - label: http
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
			Name: "local_bind_port with dynamic ports", Group: Network + Web(Upstream()), Dynamic: true, Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: connect-proxy-web
			    - label: connect_upstream_web_db
			proxy:
			  local_service_address: 127.0.0.1
			  upstreams:
			    - destination_name: db
			      local_bind_address: 127.0.0.1
			      port: connect_upstream_web_db
			`,
		},
		{
			Name: "variables with dynamic ports", Group: Network + Web(Proxy("upstreams {\n destination_name = \"a-b.c\"\n local_bind_port = 9191\n}")), Dynamic: true, Pick: appEnv,
			Want: `
			NOMAD_UPSTREAM_ADDR_a-b.c: 127.0.0.1:${NOMAD_PORT_connect_upstream_web_a_b_c}
			NOMAD_UPSTREAM_ADDR_a_b_c: 127.0.0.1:${NOMAD_PORT_connect_upstream_web_a_b_c}
			NOMAD_UPSTREAM_IP_a-b.c: 127.0.0.1
			NOMAD_UPSTREAM_IP_a_b_c: 127.0.0.1
			NOMAD_UPSTREAM_PORT_a-b.c: ${NOMAD_PORT_connect_upstream_web_a_b_c}
			NOMAD_UPSTREAM_PORT_a_b_c: ${NOMAD_PORT_connect_upstream_web_a_b_c}
			`,
		},
		{
			Name: "no local_bind_port", Group: Network + Web(Proxy("upstreams {\n destination_name = \"db\"\n}")), Pick: networks,
			Want: `
			- mode: host
			  port:
			    - label: http
			    - label: connect-proxy-web
			    - label: connect_upstream_web_db
			`,
		},
		{
			Name: "local_bind_address", Group: Network + Web(Upstream(`local_bind_address = "::1"`)), Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.1
			upstreams:
			  - destination_name: db
			    local_bind_address: ::1
			    port: connect_upstream_web_db
			`,
		},
		{
			Name: "variables in variables", Group: Network + Web(Upstream()) + "task \"other\" {\n driver = \"raw_exec\"\n config {\n command = \"$${NOMAD_UPSTREAM_IP_db}\"\n }\n env {\n URL = \"http://${NOMAD_UPSTREAM_ADDR_db}/${NOMAD_UPSTREAM_ADDR_x}\"\n }\n}\n",
			Dynamic: true, Pick: func(g *api.TaskGroup) any { return []any{g.Tasks[0].Env["URL"], g.Tasks[0].Config} },
			Want: `
			- http://127.0.0.1:${NOMAD_PORT_connect_upstream_web_db}/${NOMAD_UPSTREAM_ADDR_x}
			- command: ${NOMAD_UPSTREAM_IP_db}
			`,
		},
		{
			Name: "variables with local_bind_address", Group: Network + Web(Upstream(`local_bind_address = "::1"`)), Pick: appEnv,
			Want: `
			NOMAD_UPSTREAM_ADDR_db: '[::1]:9191'
			NOMAD_UPSTREAM_IP_db: ::1
			NOMAD_UPSTREAM_PORT_db: "9191"
			`,
		},
		{
			Name: "one port on two addresses", Group: Network + Web(Proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_port = 9191\n local_bind_address = \"127.0.0.2\"\n}")), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  reserved_ports:
			    - label: connect_upstream_web_db
			      static: 9191
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  upstreams:
			    - destination_name: db
			      local_bind_address: 127.0.0.1
			      port: connect_upstream_web_db
			    - destination_name: cache
			      local_bind_address: 127.0.0.2
			      port: connect_upstream_web_db
			`,
		},
		{
			Name: "destination_*, datacenter, mesh_gateway", Group: Network + Web(Upstream("destination_type = \"prepared_query\"", "destination_namespace = \"ns\"", "destination_partition = \"p\"", "destination_peer = \"peer\"", "datacenter = \"dc2\"", "mesh_gateway {\n mode = \"local\"\n}")), Pick: proxyBlock,
			Want: `
			local_service_address: 127.0.0.1
			upstreams:
			  - datacenter: dc2
			    destination_name: db
			    destination_namespace: ns
			    destination_partition: p
			    destination_peer: peer
			    destination_type: prepared_query
			    local_bind_address: 127.0.0.1
			    mesh_gateway:
			      mode: local
			    port: connect_upstream_web_db
			`,
		},
		{
			Name: "local_bind_socket_path, local_bind_socket_mode", Group: Network + Web(Proxy("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"$${NOMAD_ALLOC_DIR}/tmp/db.sock\"\n local_bind_socket_mode = \"0660\"\n}")), Pick: proxyAndPorts,
			Want: `
			network:
			  mode: host
			  port:
			    - label: http
			    - label: connect-proxy-web
			proxy:
			  local_service_address: 127.0.0.1
			  upstreams:
			    - destination_name: db
			      local_bind_socket_mode: "0660"
			      local_bind_socket_path: ${NOMAD_ALLOC_DIR}/tmp/db.sock
			`,
		},
		{
			Name: "no variables of a socket", Group: Network + Web(Proxy("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"/run/db.sock\"\n}")), Pick: appEnv,
			Want: "",
		},
	}
}
