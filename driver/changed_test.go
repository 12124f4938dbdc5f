package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// What the next Envoy would be started with is another when its binary is, its CA,
// its bootstrap or its token, and each change is told once.
func TestProxy_changed(t *testing.T) {
	task, dir := taskOnHost(), t.TempDir()
	task.AllocDir = dir
	must.NoError(t, os.MkdirAll(task.TaskDir().SecretsDir, 0o755))
	write := func(path, content string) string {
		path = filepath.Join(dir, path)
		must.NoError(t, os.WriteFile(path+".new", []byte(content), 0o755))
		must.NoError(t, os.Rename(path+".new", path))
		return path
	}
	p := &Plugin{}
	p.config.Store(&settings{PluginConfig: PluginConfig{Envoy: &EnvoyConfig{Path: write("envoy", "one")}}})
	token := "old"
	x := &proxy{plugin: p, config: task, tokens: p.newTokenKeeper(proxySpec{}, task)}
	x.spec.Consul = consul.Config{Token: token, GRPCCAFile: write("ca", "one")}
	x.spec.External = filepath.Join(task.TaskDir().SecretsDir, "own.json")
	must.NoError(t, os.WriteFile(x.spec.External, []byte("{}"), 0o600))
	var err error
	x.client, err = p.pool.Client(x.spec.Consul, func() (consul.Tokens, error) { return consul.Tokens{Task: token}, nil })
	must.NoError(t, err)
	t.Cleanup(x.client.Close)
	x.stamp, err = x.look()
	must.NoError(t, err)

	for name, change := range map[string]func(){
		"nothing":   func() {},
		"binary":    func() { write("envoy", "two") },
		"CA":        func() { write("ca", "two") },
		"bootstrap": func() { must.NoError(t, os.WriteFile(x.spec.External, []byte("{ }"), 0o600)) },
		"token": func() {
			token = "new"
			must.NoError(t, os.WriteFile(filepath.Join(task.TaskDir().SecretsDir, "si_token"), []byte(token), 0o600))
		},
		"token that was renewed meanwhile": func() {
			token = "newest"
			_, err := x.client.Renew() // as when Consul did not know it any more
			must.NoError(t, err)
		},
	} {
		change()
		p.nodeEnvoy.Store(nil) // as after a moment
		for _, want := range []bool{name != "nothing", false} {
			changed, err := x.changed()
			must.NoError(t, err)
			must.Eq(t, want, changed, must.Sprint(name))
		}
	}
}

// What cannot be read is as it was; a token is told of all the same.
func TestProxy_changedUnreadable(t *testing.T) {
	task := taskOnHost()
	task.AllocDir = t.TempDir()
	p := &Plugin{}
	p.config.Store(&settings{})
	x := &proxy{plugin: p, config: task, tokens: p.newTokenKeeper(proxySpec{}, task)}
	x.spec.Envoy.Path, x.spec.Envoy.Named = "/bin/sh", true
	x.spec.External = "/nowhere/bootstrap.json"
	token := "old"
	var err error
	x.client, err = p.pool.Client(consul.Config{Token: token}, func() (consul.Tokens, error) { return consul.Tokens{Task: token}, nil })
	must.NoError(t, err)
	t.Cleanup(x.client.Close)
	x.stamp, _ = x.look()
	for _, want := range []bool{false, true, false} {
		changed, err := x.changed()
		must.ErrorContains(t, err, "/nowhere/bootstrap.json")
		must.Eq(t, want, changed)
		token = "new"
		must.NoError(t, os.MkdirAll(task.TaskDir().SecretsDir, 0o755))
		must.NoError(t, os.WriteFile(filepath.Join(task.TaskDir().SecretsDir, "si_token"), nil, 0o600))
	}
}
