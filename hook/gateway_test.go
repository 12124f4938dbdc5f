package hook

// gatewayRows have what becomes of gateways: they stay, and this driver runs them.
func gatewayRows() []row {
	return []row{
		{
			field: "gateway", group: network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n }\n}", pick: firstService,
			want: `
			name: gw
			port: http
			connect:
			  gateway:
			    mesh: {}
			  sidecar_task:
			    driver: connect
			    config:
			      bootstrap:
			        path: ${NOMAD_SECRETS_DIR}/envoy_bootstrap.json
			`,
		},
		{
			field: "gateway with sidecar_task", group: network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n sidecar_task {\n driver = \"docker\"\n config {\n image = \"envoy\"\n }\n user = \"me\"\n }\n }\n}", pick: firstService,
			want: `
			name: gw
			port: http
			connect:
			  gateway:
			    mesh: {}
			  sidecar_task:
			    driver: connect
			    user: me
			    config:
			      bootstrap:
			        path: ${NOMAD_SECRETS_DIR}/envoy_bootstrap.json
			`,
			warning: `group "g", service "gw": the config of sidecar_task is left out: it is for driver "docker", and the task has driver "connect"`,
		},
		{
			field: "gateway of this driver", group: network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n sidecar_task {\n driver = \"connect\"\n config {\n bootstrap {\n path = \"x\"\n }\n }\n }\n }\n}", pick: firstService,
			want: `
			name: gw
			port: http
			connect:
			  gateway:
			    mesh: {}
			  sidecar_task:
			    driver: connect
			    config:
			      bootstrap:
			        - path: x
			`,
		},
	}
}
