package stanza

// gatewayRows have what becomes of gateways: they stay, and this driver runs them.
func gatewayRows() []Row {
	return []Row{
		{
			Name: "gateway", Group: Network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n }\n}", Pick: firstService,
			Want: `
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
			    resources:
			      cpu: 250
			      memory: 128
			    logs:
			      max_files: 2
			      max_file_size: 2
			`,
		},
		{
			Name: "gateway with sidecar_task", Group: Network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n sidecar_task {\n driver = \"docker\"\n config {\n image = \"envoy\"\n }\n user = \"me\"\n }\n }\n}", Pick: firstService,
			Want: `
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
			Warning: `group "g", service "gw": the config of sidecar_task is left out: it is for driver "docker", and the task has driver "connect"; remove it when nothing else needs it`,
		},
		{
			Name: "gateway of this driver", Group: Network + "service {\n name = \"gw\"\n port = \"http\"\n connect {\n gateway {\n mesh {}\n }\n sidecar_task {\n driver = \"connect\"\n config {\n bootstrap {\n path = \"x\"\n }\n }\n }\n }\n}", Pick: firstService,
			Want: `
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
