package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// taskOnHost is a task in a group with three ports on host networking.
func taskOnHost() *drivers.TaskConfig {
	return &drivers.TaskConfig{
		ID: "a1/proxy/1", AllocID: "a1", JobID: "shop", TaskGroupName: "g", Name: "proxy", Namespace: "default", NodeID: "n1",
		AllocDir: "/data/alloc/a1",
		User:     "nomad-80000",
		Env:      map[string]string{"NOMAD_ALLOC_ID": "a1", "CONSUL_HTTP_TOKEN": "secret"},
		Resources: &drivers.Resources{Ports: &structs.AllocatedPorts{
			{Label: "http", Value: 20001, HostIP: "127.0.0.1"},
			{Label: "mesh", Value: 20002, HostIP: "10.0.0.1"},
			{Label: "up_db", Value: 20003, HostIP: "127.0.0.1"},
			{Label: "plain", Value: 20004, HostIP: "10.0.0.1"},
		}},
		StdoutPath: "/fifo/out", StderrPath: "/fifo/err",
	}
}

// specFrom goes the way of a task: HCL, schema, struct, specification.
func specFrom(t *testing.T, task *drivers.TaskConfig, hcl string) (proxySpec, error) {
	t.Helper()
	envoy := filepath.Join(t.TempDir(), "envoy")
	must.NoError(t, os.WriteFile(envoy, nil, 0o755))
	var config TaskConfig
	hclutils.NewConfigParser(taskConfigSpec()).ParseHCL(t, "config {\n"+hcl+"\n}", &config)
	return taskSpec(task, config, node{
		version: "0.0.1",
		machine: machine{host: "m1", boot: "today"},
		root:    true,
		config: PluginConfig{
			Envoy: &EnvoyConfig{Path: envoy, Args: []string{"--operator"}},
			Allow: &AllowConfig{EnvoyPath: true, EnvoyArgs: []string{anyFlag}},
		},
		environ: readEnviron(func(string) string { return "" }),
	})
}

func sidecarHCL(proxy string) string {
	return `service = "web"
	sidecar_service {
	  port = "mesh"
	  proxy {
` + proxy + `
	  }
	}`
}

func TestTaskSpec(t *testing.T) {
	spec, err := specFrom(t, taskOnHost(), `
	service = "web"
	sidecar_service {
	  port = "mesh"
	  tags = ["t"]
	  meta {
	    team = "shop"
	  }
	  proxy {
	    upstreams {
	      destination_name = "db"
	      port             = "up_db"
	    }
	    upstreams {
	      destination_name = "mail"
	      port             = "plain"
	    }
	    upstreams {
	      destination_name = "cache"
	      local_bind_port  = 9191
	    }
	    upstreams {
	      destination_name       = "queue"
	      local_bind_socket_path = "/data/alloc/a1/alloc/tmp/queue.sock"
	      local_bind_socket_mode = "0660"
	    }
	  }
	}
	envoy {
	  args = ["--job"]
	}
	ready {
	  timeout = "5s"
	}`)
	must.NoError(t, err)
	must.Eq(t, "web", spec.Own.Service)
	must.Eq(t, &mesh.Parent{IDPrefix: "_nomad-task-a1-group-g-"}, spec.Own.Parent)
	must.Eq(t, sidecar.Port{Label: "mesh", Address: "10.0.0.1", Number: 20002}, spec.Own.Listener)
	must.Eq(t, map[string]string{
		"nomad-node-id": "n1", "nomad-namespace": "default", "nomad-job": "shop", "nomad-group": "g",
		"nomad-task": "proxy", "nomad-alloc-id": "a1", "connect-driver-version": "0.0.1", "connect-driver-host": "m1", "proxy-boot-id": "today", "team": "shop",
	}, spec.Own.Meta)
	must.Eq(t, []api.Upstream{
		{DestinationName: "db", LocalBindAddress: "127.0.0.1", LocalBindPort: 20003},
		{DestinationName: "mail", LocalBindAddress: "127.0.0.1", LocalBindPort: 20004},
		{DestinationName: "cache", LocalBindAddress: "127.0.0.1", LocalBindPort: 9191},
		{DestinationName: "queue", LocalBindSocketPath: "../../../alloc/tmp/queue.sock", LocalBindSocketMode: "0660"},
	}, spec.Own.Proxy.Upstreams)
	must.Eq(t, map[string]any{"envoy_stats_tags": []string{"nomad.alloc_id=a1", "nomad.group=g", "nomad.job=shop", "nomad.namespace=default"}}, spec.Own.Proxy.Config)
	must.Eq(t, []string{"--operator", "--job"}, spec.Envoy.Args)
	must.Eq(t, 5*time.Second, spec.Life.ReadyTimeout)
	must.Eq(t, "127.0.0.1:8500", spec.Consul.Address)
	must.Eq(t, "/data/alloc/a1/proxy/secrets/connect", spec.Life.Run.Dir)
	must.Eq(t, []string{"NOMAD_ALLOC_ID=a1"}, spec.Life.Run.Env, must.Sprint("no process is given a token"))
	must.Eq(t, process.User{Name: "nomad-80000", UID: 80000, GID: 80000, Switch: true}, spec.Life.Run.User)
}

func TestTaskSpec_standalone(t *testing.T) {
	spec, err := specFrom(t, taskOnHost(), `
	service = "client"
	sidecar_service {
	  port       = "mesh"
	  standalone = true
	}`)
	must.NoError(t, err)
	must.Nil(t, spec.Own.Parent)
	must.Eq(t, "connect-a1-g-client-sidecar-proxy", spec.Own.StandaloneID)
}

// A mistake gets one sentence that names the field, what was given and what is
// allowed.
func TestTaskSpec_mistakes(t *testing.T) {
	bridge := taskOnHost()
	bridge.NetworkIsolation = &drivers.NetworkIsolationSpec{Mode: drivers.NetIsolationModeGroup}
	portless := taskOnHost()
	portless.Resources = nil

	for _, tc := range []struct {
		name string
		task *drivers.TaskConfig
		hcl  string
		want string
	}{
		{"no block", nil, `service = "web"`, "config: says nothing of what the task is"},
		{"two blocks", nil, "sidecar_service {}\ngateway {\n mesh {}\n}", "config: has the blocks sidecar_service and gateway; exactly one"},
		{"gateway", nil, "gateway {\n mesh {}\n}", "gateway: is not supported by version"},
		{"bridge", bridge, sidecarHCL(""), `sidecar_service: group "g" has a network namespace of its own (bridge or cni), and sidecar_service is for host networking`},
		{"no service", nil, "sidecar_service {\n port = \"mesh\"\n}", "service: is missing"},
		{"no port", nil, "service = \"web\"\nsidecar_service {}", `sidecar_service.port: is missing; it is the label of a port in the network block of group "g" (it has: http, mesh, plain, up_db)`},
		{"port unknown", nil, "service = \"web\"\nsidecar_service {\n port = \"mseh\"\n}", `sidecar_service.port: "mseh" is not the label of a port in the network block of group "g" (it has: http, mesh, plain, up_db)`},
		{"group without ports", portless, sidecarHCL(""), `(it has no ports)`},
		{"upstream without destination", nil, sidecarHCL("upstreams {\n port = \"up_db\"\n}"), "sidecar_service.proxy.upstreams[0].destination_name: is missing"},
		{"upstream nowhere", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n}"), `sidecar_service.proxy.upstreams[0]: "db" is given 0 places to listen on; exactly one of port`},
		{"upstream at two places", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n port = \"up_db\"\n local_bind_port = 9191\n}"), `"db" is given 2 places`},
		{"upstream label unknown", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n port = \"up\"\n}"), `upstreams[0].port: "up" is not the label of a port`},
		{"two upstreams on one port", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_port = 9191\n}"), `upstreams[1]: the upstream "cache" is to listen on 127.0.0.1:9191, but the upstream "db" does already`},
		{"two upstreams on one label", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n port = \"up_db\"\n}\nupstreams {\n destination_name = \"cache\"\n port = \"up_db\"\n}"), `"cache" is to listen on 127.0.0.1:20003 (up_db), but the upstream "db" does already`},
		{"wildcard overlaps", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_address = \"0.0.0.0\"\n local_bind_port = 9191\n}"), `"cache" is to listen on 0.0.0.0:9191, but the upstream "db" does`},
		{"upstream on the public port", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_address = \"10.0.0.1\"\n local_bind_port = 20002\n}"), `but the public listener does already`},
		{"two upstreams on one socket", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"/s\"\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_socket_path = \"/s\"\n}"), `"cache" is to listen on /s, but`},
		{"port out of range", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 70000\n}"), "upstreams[0].local_bind_port: 70000 is not a port; it is a number from 1 to 65535"},
		{"port negative", nil, sidecarHCL("local_service_port = -1"), "local_service_port: -1 is not a port"},
		{"bind address", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 1\n local_bind_address = \"localhost\"\n}"), `local_bind_address: "localhost" is not an IP address`},
		{"a port of root's", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 53\n local_bind_address = \"0.0.0.0\"\n}"), "upstreams[0].local_bind_port: 53 at 0.0.0.0 is a port of root's"},
		{"socket relative", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"db.sock\"\n}"), `"db.sock" is not an absolute path`},
		{"socket too long", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"/" + strings.Repeat("x", 120) + "\"\n}"), "has 121 characters; a socket's path may have 107 here"},
		{"socket mode", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"/s\"\n local_bind_socket_mode = \"rw\"\n}"), `"rw" is not an octal file mode`},
		{"socket mode without socket", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 1\n local_bind_socket_mode = \"0600\"\n}"), "goes only with local_bind_socket_path"},
		{"destination type", nil, sidecarHCL("upstreams {\n destination_name = \"db\"\n local_bind_port = 1\n destination_type = \"svc\"\n}"), `destination_type: "svc" is unknown; it is one of service, prepared_query`},
		{"mesh gateway mode", nil, sidecarHCL("mesh_gateway {\n mode = \"far\"\n}"), `mesh_gateway.mode: "far" is unknown`},
		{"local service twice", nil, sidecarHCL("local_service_port = 1\nlocal_service_socket_path = \"/s\""), "local_service_socket_path cannot go with"},
		{"public port moved", nil, sidecarHCL("config {\n bind_port = 1\n}"), "sidecar_service.proxy.config.bind_port: cannot be given"},
		{"expose on the public port", nil, sidecarHCL("expose {\n path {\n path = \"/health\"\n local_path_port = 80\n listener_port = \"mesh\"\n}\n}"), `listener_port: the exposed path "/health" is to listen on 10.0.0.1:20002 (mesh), but the public listener does already`},
		{"config is no object", nil, sidecarHCL("config = \"x\""), "sidecar_service.proxy.config: an object is expected"},
		{"expose path", nil, sidecarHCL("expose {\n path {\n path = \"health\"\n}\n}"), `expose.path[0].path: "health" does not begin with /`},
		{"standalone with a service", nil, "service = \"c\"\nsidecar_service {\n port = \"mesh\"\n standalone = true\n proxy {\n local_service_port = 1\n}\n}", "cannot go with standalone"},
		{"log level", nil, sidecarHCL("") + "\nenvoy {\n log_level = \"loud\"\n}", `envoy.log_level: "loud" is unknown; it is one of trace`},
		{"concurrency", nil, sidecarHCL("") + "\nenvoy {\n concurrency = -1\n}", "envoy.concurrency: -1 is not a number of threads"},
		{"args", nil, sidecarHCL("") + "\nenvoy {\n args = [\"-c\", \"x\"]\n}", `envoy.args: "-c" cannot be given: the driver renders the bootstrap`},
		{"envoy missing", nil, sidecarHCL("") + "\nenvoy {\n path = \"/nowhere/envoy\"\n}", "envoy.path: "},
		{"identity", nil, sidecarHCL("") + "\nconsul {\n identity = \"x/../../../../a2/proxy/secrets/nomad_mesh\"\n}", `consul.identity: "x/../../../../a2/proxy/secrets/nomad_mesh" is not the name of an identity`},
		{"drain timeout", nil, sidecarHCL("") + "\ndrain {\n timeout = \"1500ms\"\n}", `drain.timeout: "1.5s" is not a number of whole seconds`},
		{"timeout", nil, sidecarHCL("") + "\nready {\n timeout = \"soon\"\n}", `ready.timeout: "soon" is not a positive duration`},
		{"root", nil, sidecarHCL("") + "\nenvoy {\n user = \"root\"\n}", `envoy.user: "root" cannot be chosen: a proxy does not run as root`},
		{"user", nil, sidecarHCL("") + "\nenvoy {\n user = \"nobody-here\"\n}", `envoy.user: "nobody-here" is not for jobs to choose on this node`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task := tc.task
			if task == nil {
				task = taskOnHost()
			}
			_, err := specFrom(t, task, tc.hcl)
			must.ErrorContains(t, err, tc.want)
			start, ok := newStartError(err).(interface{ IsRecoverable() bool })
			must.True(t, ok)
			must.False(t, start.IsRecoverable(), must.Sprint("a mistake is not tried again"))
		})
	}
}

// What Nomad keeps on its disk holds no token, and all that recovery needs:
// after a restart of its agent Nomad does not give the job's config back.
func TestHandle(t *testing.T) {
	task := withResources("/sys/fs/cgroup/cpuset/nomad/share", "", 500, 64, 128)
	spec, err := specFrom(t, task, sidecarHCL("config {\n protocol = \"http\"\n}\nupstreams {\n destination_name = \"db\"\n port = \"up_db\"\n}"))
	must.NoError(t, err)
	spec.Consul.Token, spec.Consul.AgentToken = "tok-4711", "tok-4711"
	state := sidecar.State{Place: sidecar.Place{ID: "p", Service: "web", Upstreams: []string{"db"}}, Process: process.Identity{PID: 7, StartTime: 9, BootID: "b"}, OOMKills: 3}
	h, err := newHandle(task, spec, state)
	must.NoError(t, err)
	must.StrNotContains(t, string(h.DriverState), "tok-4711")
	must.MapNotContainsKey(t, h.Config.Env, "CONSUL_HTTP_TOKEN")
	must.Eq(t, "secret", task.Env["CONSUL_HTTP_TOKEN"], must.Sprint("the task itself keeps it"))

	back, err := readHandle(h)
	must.NoError(t, err)
	must.Eq(t, state, back.State)
	must.Eq(t, spec.Life.Run.User, back.Spec.Life.Run.User)
	must.Eq(t, spec.Life.Run.Dir, back.Spec.Life.Run.Dir)
	must.Eq(t, spec.Life.Run.Cgroup, back.Spec.Life.Run.Cgroup)
	must.Eq(t, spec.Own.Parent, back.Spec.Own.Parent)
	must.Eq(t, spec.Own.Proxy.Upstreams, back.Spec.Own.Proxy.Upstreams)
	must.Eq[any](t, "http", back.Spec.Own.Proxy.Config["protocol"])

	h.Version++
	_, err = readHandle(h)
	must.ErrorContains(t, err, "version 4, this driver knows 3")
}

func TestConsulSettings(t *testing.T) {
	env := readEnviron(func(name string) string {
		return map[string]string{"CONSUL_HTTP_ADDR": "10.0.0.9:8501", "CONSUL_HTTP_SSL": "true", "CONSUL_GRPC_ADDR": "10.0.0.9:8503"}[name]
	})
	must.Eq(t, "https://10.0.0.9:8501", consulSettings(env, nil, nil).Address)
	must.Eq(t, "operator", consulSettings(env, &ConsulConfig{Address: "operator"}, nil).Address)
	got := consulSettings(env, &ConsulConfig{Address: "operator"}, &TaskConsulConfig{Address: "job"})
	must.Eq(t, "job", got.Address)
	must.Eq(t, "10.0.0.9:8503", got.GRPCAddress)
	must.Eq(t, "", got.Token)
}

// The operator's token goes to the operator's Consul and to no other.
func TestAddTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	must.NoError(t, os.WriteFile(file, []byte("operator\n"), 0o600))
	p := &Plugin{environ: readEnviron(func(string) string { return "" })}
	p.config.Store(&settings{PluginConfig: PluginConfig{Consul: &ConsulConfig{TokenFile: file}}})
	for address, want := range map[string]string{"": "operator", "10.0.0.66:8500": ""} {
		task := taskOnHost()
		spec := proxySpec{Consul: consulSettings(p.environ, p.config.Load().Consul, &TaskConsulConfig{Address: address})}
		must.NoError(t, p.addTokens(&spec, task))
		must.Eq(t, want, spec.Consul.AgentToken)
		must.Eq(t, "secret", spec.Consul.Token)
	}
}

// How checks are run is read where the operator's agent says, and for no other.
func TestDataDir(t *testing.T) {
	t.Parallel()
	agent, other := fake.StartConsul(t), fake.StartConsul(t)
	dir := agent.KeepDefinitions(t)
	other.KeepDefinitions(t)
	p := &Plugin{}
	p.config.Store(&settings{PluginConfig: PluginConfig{Consul: &ConsulConfig{Address: agent.URL}}})
	for address, want := range map[string]string{agent.URL: dir, other.URL: ""} {
		client, err := consul.New(consul.Config{Address: address})
		must.NoError(t, err)
		t.Cleanup(client.Close)
		x := &proxy{plugin: p, client: client, spec: proxySpec{Consul: consul.Config{Address: address}}}
		for range 2 {
			got, err := x.dataDir(t.Context())
			must.NoError(t, err)
			must.Eq(t, want, got)
		}
	}
	must.Eq(t, 1, agent.Requests(), must.Sprint("the answer is remembered"))
	must.Eq(t, 0, other.Requests())
}

func TestParseSignal(t *testing.T) {
	for _, name := range []string{"SIGHUP", "HUP", "hup"} {
		sig, err := parseSignal(name)
		must.NoError(t, err)
		must.Eq(t, 1, int(sig))
	}
	_, err := parseSignal("SIGNOTHING")
	must.EqError(t, err, `"SIGNOTHING" is not a signal`)
}
