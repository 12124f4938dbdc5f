package hook

import (
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// sidecarTaskRows have every field of sidecar_task.
func sidecarTaskRows() []row {
	with := func(body string) string { return network + web(sidecarTask(body)) }
	part := func(of func(*api.Task) any) pick {
		return func(g *api.TaskGroup) any { return of(proxyTask(g).(*api.Task)) }
	}
	return []row{
		{field: "name", group: with(`name = "mesh"`), pick: part(func(t *api.Task) any { return []string{t.Name, t.Kind} }), want: "\n- mesh\n- connect-native:web\n"},
		{field: "driver", group: with(`driver = "connect"`), pick: part(func(t *api.Task) any { return t.Driver }), want: "\nconnect\n"},
		{field: "another driver", group: with(`driver = "exec"`), pick: part(func(t *api.Task) any { return t.Driver }), want: "\nconnect\n"},
		{
			field: "config", group: with("config {\n envoy {\n log_level = \"debug\"\n }\n drain {\n timeout = \"5s\"\n }\n}"), pick: config,
			want: `
			drain:
			  - timeout: 5s
			envoy:
			  - log_level: debug
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
		},
		{
			field: "config of another driver", group: with("driver = \"docker\"\n config {\n image = \"envoy\"\n}"), pick: config,
			want: `
			service: web
			sidecar_service:
			  port: connect-proxy-web
			  proxy:
			    local_service_address: 127.0.0.1
			`,
			warning: `group "g", service "web": the config of sidecar_task is left out: it is for driver "docker", and the task has driver "connect"`,
		},
		{field: "user", group: with(`user = "envoy"`), pick: part(func(t *api.Task) any { return t.User }), want: "\nenvoy\n"},
		{field: "env", group: with("env {\n A = \"1\"\n}"), pick: part(func(t *api.Task) any { return t.Env }), want: "\nA: \"1\"\n"},
		{field: "meta", group: with("meta {\n a = \"1\"\n}"), pick: part(func(t *api.Task) any { return t.Meta }), want: "\na: \"1\"\n"},
		{field: "resources", group: with("resources {\n memory = 64\n memory_max = 256\n}"), pick: part(func(t *api.Task) any { return t.Resources }), want: "\ncpu: 250\nmemory: 64\nmemory_max: 256\n"},
		{field: "resources.cores", group: with("resources {\n cores = 1\n}"), pick: part(func(t *api.Task) any { return t.Resources }), want: "\ncores: 1\nmemory: 128\n"},
		{field: "logs", group: with("logs {\n max_files = 7\n}"), pick: part(func(t *api.Task) any { return t.LogConfig }), want: "\nmax_files: 7\nmax_file_size: 2\n"},
		{field: "kill_timeout", group: with(`kill_timeout = "30s"`), pick: part(func(t *api.Task) any { return t.KillTimeout }), want: "\n30s\n"},
		{field: "shutdown_delay", group: with(`shutdown_delay = "3s"`), pick: part(func(t *api.Task) any { return t.ShutdownDelay }), want: "\n3s\n"},
		{field: "kill_signal", group: with(`kill_signal = "SIGINT"`), pick: part(func(t *api.Task) any { return t.KillSignal }), want: "\nSIGINT\n"},
		{field: "volume_mount", group: with("volume_mount {\n volume = \"v\"\n destination = \"/v\"\n}"), pick: part(func(t *api.Task) any { return t.VolumeMounts }), want: "\n- volume: v\n  destination: /v\n"},
		{field: "identity", group: with("identity {\n name = \"mesh\"\n file = true\n}"), pick: part(func(t *api.Task) any { return t.Identities }), want: "\n- name: mesh\n  file: true\n"},
	}
}

// The sidecars of a group, and all that know of each other.
func TestRewrite_severalServices(t *testing.T) {
	second := "service {\n name = \"web\"\n port = \"admin\"\n connect {\n" + upstream() + "\n }\n}\n"
	job := rewrite(t, inJob("network {\n port \"http\" {}\n port \"admin\" {}\n}\n"+web(sidecar(""))+second), Options{}).Job
	g := job.TaskGroups[0]
	must.Eq(t, 3, len(g.Tasks))
	first, other := g.Tasks[1], g.Tasks[2]
	must.Eq(t, []string{"connect-proxy-web", "connect-proxy-web-admin"}, []string{first.Name, other.Name})
	must.Eq(t, []any{"http", "admin"}, []any{first.Config["service_port"], other.Config["service_port"]})
	must.Eq(t, "127.0.0.1:9191", first.Env["NOMAD_UPSTREAM_ADDR_db"], must.Sprint("a sidecar is a task like others to the other one"))
	must.MapEmpty(t, other.Env)
	must.Eq[any](t, "connect-proxy-web-admin", other.Config["sidecar_service"].(map[string]any)["port"])
}

// Variables that a task sets itself stay.
func TestRewrite_ownVariables(t *testing.T) {
	hcl := inJob(network + web(upstream()) + "task \"other\" {\n driver = \"exec\"\n env {\n NOMAD_UPSTREAM_IP_db = \"mine\"\n }\n}\n")
	env := rewrite(t, hcl, Options{}).Job.TaskGroups[0].Tasks[0].Env
	must.Eq(t, map[string]string{"NOMAD_UPSTREAM_ADDR_db": "127.0.0.1:9191", "NOMAD_UPSTREAM_IP_db": "mine", "NOMAD_UPSTREAM_PORT_db": "9191"}, env)
}

// Names are those that the service has in Consul.
func TestRewrite_names(t *testing.T) {
	for name, want := range map[string]string{
		`name = "a-${JOB}-${TASKGROUP}"`:                           "a-shop-g",
		`name = "${BASE}"`:                                         "shop-g-group",
		`name = "${NOMAD_JOB_ID}-${NOMAD_GROUP_NAME}-${TASK}"`:     "shop-g-group",
		`name = "${NOMAD_JOB_NAME}-${NOMAD_NAMESPACE}-${TASK}-ok"`: "shop-prod-group-ok",
		"": "shop-g",
	} {
		g := rewrite(t, inJob(network+"service {\n "+name+"\n port = \"http\"\n connect {\n sidecar_service {}\n }\n}"), Options{}).Job.TaskGroups[0]
		must.Eq(t, "connect-native:"+want, g.Tasks[1].Kind)
		must.Eq[any](t, want, g.Tasks[1].Config["service"])
		if name != "" {
			must.Eq(t, want, g.Services[0].Name)
		}
	}
}
