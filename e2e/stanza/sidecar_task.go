package stanza

import "github.com/hashicorp/nomad/api"

// sidecarTaskRows have every field of sidecar_task.
func sidecarTaskRows() []Row {
	with := func(body string) string { return Network + Web(SidecarTask(body)) }
	part := func(of func(*api.Task) any) Pick {
		return func(g *api.TaskGroup) any { return of(proxyTask(g).(*api.Task)) }
	}
	closed := func(fields string) string {
		return `group "g", service "web": sidecar_task has ` + fields + ", which is the operator's to say; remove it, or have it opened by allow {} in the plugin's config"
	}
	return []Row{
		{Name: "name", Group: with(`name = "mesh"`), Pick: part(func(t *api.Task) any { return []string{t.Name, t.Kind} }), Want: "\n- mesh\n- connect-native:web\n"},
		{Name: "driver", Group: with(`driver = "connect"`), Pick: part(func(t *api.Task) any { return t.Driver }), Want: "\nconnect\n"},
		{Name: "another driver", Group: with(`driver = "exec"`), Pick: part(func(t *api.Task) any { return t.Driver }), Want: "\nconnect\n"},
		{
			Name: "config", Group: with("config {\n envoy {\n log_level = \"debug\"\n }\n drain {\n timeout = \"5s\"\n }\n}"), Pick: config,
			Want: `
			drain:
			  - timeout: 5s
			envoy:
			  - log_level: debug
			node_meta:
			  concurrency: ${meta.connect.proxy_concurrency}
			  log_level: ${meta.connect.log_level}
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
		},
		{
			Name: "config of another driver", Group: with("driver = \"docker\"\n config {\n image = \"envoy\"\n}"), Pick: config,
			Want: `
			node_meta:
			  concurrency: ${meta.connect.proxy_concurrency}
			  log_level: ${meta.connect.log_level}
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
			Warning: `group "g", service "web": the config of sidecar_task is left out: it is for driver "docker", and the task has driver "connect"; remove it when nothing else needs it`,
		},
		{
			Name: "config of no driver, which is Docker's", Group: with("config {\n image = \"envoy\"\n}"), Pick: config,
			Want: `
			node_meta:
			  concurrency: ${meta.connect.proxy_concurrency}
			  log_level: ${meta.connect.log_level}
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
			Warning: `group "g", service "web": the config of sidecar_task is left out: it is for driver "docker", and the task has driver "connect"; remove it when nothing else needs it`,
		},
		{
			Name: "config of the operator's", Group: with("config {\n consul {\n address = \"127.0.0.1:8500\"\n }\n envoy {\n path = \"/opt/envoy\"\n args = [\"--log-format\", \"x\"]\n }\n}"), Pick: config,
			Want: `
			consul:
			  - address: 127.0.0.1:8500
			envoy:
			  - args:
			      - --log-format
			      - x
			    path: /opt/envoy
			node_meta:
			  concurrency: ${meta.connect.proxy_concurrency}
			  log_level: ${meta.connect.log_level}
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
			Warning: closed("config.consul.address, config.envoy.args, config.envoy.path"),
		},
		{
			Name: "config of the drop-in", Group: with("driver = \"connect\"\n config {\n bootstrap {}\n}"), Pick: config,
			Want: `
			node_meta:
			  concurrency: ${meta.connect.proxy_concurrency}
			  log_level: ${meta.connect.log_level}
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
		},
		{Name: "user", Group: with(`user = "envoy"`), Pick: part(func(t *api.Task) any { return t.User }), Want: "\nenvoy\n", Warning: closed("user")},
		{Name: "env", Group: with("env {\n A = \"1\"\n}"), Pick: part(func(t *api.Task) any { return t.Env }), Want: "\nA: \"1\"\n"},
		{Name: "meta", Group: with("meta {\n a = \"1\"\n}"), Pick: part(func(t *api.Task) any { return t.Meta }), Want: "\na: \"1\"\n"},
		{Name: "resources", Group: with("resources {\n memory = 64\n memory_max = 256\n}"), Pick: part(func(t *api.Task) any { return t.Resources }), Want: "\ncpu: 100\ncores: 0\nmemory: 64\nmemory_max: 256\n"},
		{Name: "resources.cores", Group: with("resources {\n cores = 1\n}"), Pick: part(func(t *api.Task) any { return t.Resources }), Want: "\ncpu: 0\ncores: 1\nmemory: 300\n"},
		{Name: "logs", Group: with("logs {\n max_files = 7\n}"), Pick: part(func(t *api.Task) any { return t.LogConfig }), Want: "\nmax_files: 7\nmax_file_size: 10\ndisabled: false\n"},
		{Name: "kill_timeout", Group: with(`kill_timeout = "30s"`), Pick: part(func(t *api.Task) any { return t.KillTimeout }), Want: "\n30s\n"},
		{Name: "shutdown_delay", Group: with(`shutdown_delay = "3s"`), Pick: part(func(t *api.Task) any { return t.ShutdownDelay }), Want: "\n3s\n"},
		{Name: "kill_signal", Group: with(`kill_signal = "SIGINT"`), Pick: part(func(t *api.Task) any { return t.KillSignal }), Want: "\nSIGINT\n"},
		{Name: "volume_mount", Group: with("volume_mount {\n volume = \"v\"\n destination = \"/v\"\n}") + "volume \"v\" {\n type = \"host\"\n source = \"v\"\n}\n", Pick: part(func(t *api.Task) any { return t.VolumeMounts }), Want: "\n- volume: v\n  destination: /v\n"},
		{Name: "identity", Group: with("identity {\n name = \"mesh\"\n file = true\n}"), Pick: part(func(t *api.Task) any { return t.Identities }), Want: "\n- name: mesh\n  file: true\n"},
	}
}
