package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// The sources of a task's token in their order: each is there in the cases after it.
func TestFindToken(t *testing.T) {
	task := taskOnHost()
	task.AllocDir = t.TempDir()
	secrets := task.TaskDir().SecretsDir
	must.NoError(t, os.MkdirAll(secrets, 0o755))
	write := func(name, content string) string {
		path := filepath.Join(secrets, name)
		must.NoError(t, os.WriteFile(path, []byte(content+"\n"), 0o600))
		return path
	}
	delete(task.Env, "CONSUL_HTTP_TOKEN")
	var spec proxySpec
	is := func(content, name, identity string) {
		t.Helper()
		sources := tokenSources(spec, task)
		rank, found, err := findToken(sources, task, spec.Life.Run.User)
		must.NoError(t, err)
		must.Eq(t, content, found)
		if content != "" {
			must.Eq(t, name, sources[rank].name)
			must.Eq(t, identity, sources[rank].identity)
		}
	}
	is("", "", "")
	task.Env["CONSUL_HTTP_TOKEN"] = "of the environment"
	is("of the environment", "CONSUL_HTTP_TOKEN", "")
	task.Env["NOMAD_TOKEN_consul_default"] = "stock JWT in the environment"
	is("stock JWT in the environment", `the workload identity "consul_default"`, "consul_default")
	write("nomad_consul_default.jwt", "stock JWT")
	is("stock JWT", `the workload identity "consul_default"`, "consul_default")
	spec.External = "/bootstrap.json"
	is("of the environment", "CONSUL_HTTP_TOKEN", "")
	spec.External = ""
	write("consul_token", "workload")
	is("workload", "secrets/consul_token", "")
	write("nomad_mesh.jwt", "JWT")
	spec.Consul.Identity = "mesh"
	is("JWT", `the workload identity "mesh"`, "mesh")
	write("si_token", "service")
	is("service", "secrets/si_token", "")
	spec.Consul.TokenFile = write("own", "own")
	is("own", spec.Consul.TokenFile, "")
}

// A file that the job names must be there.
func TestFindToken_missing(t *testing.T) {
	task := taskOnHost()
	task.AllocDir = t.TempDir()
	must.NoError(t, os.MkdirAll(task.TaskDir().SecretsDir, 0o755))
	p := &Plugin{tasks: newTasks()}
	p.config.Store(&settings{})
	empty := filepath.Join(task.TaskDir().SecretsDir, "empty")
	must.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, tc := range []struct{ file, identity, want string }{
		{"/nowhere", "", "read the Consul ACL token: open /nowhere"},
		{empty, "", "is empty; write a token into it"},
		{"", "mesh", `consul.identity: Nomad gives the task no identity "mesh": give it identity { name = "mesh"`},
	} {
		var spec proxySpec
		spec.Consul.TokenFile, spec.Consul.Identity = tc.file, tc.identity
		err := p.addTokens(&spec, task)
		must.ErrorContains(t, err, tc.want)
	}
}
