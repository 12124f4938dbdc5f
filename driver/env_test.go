package driver

import (
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
)

// A job's words reach Envoy, but no tokens, and nothing that has other code run.
func TestEnvoyEnv(t *testing.T) {
	t.Setenv("PATH", "/usr/bin")
	t.Setenv("LD_LIBRARY_PATH", "/opt/envoy/lib")
	task := &drivers.TaskConfig{Env: map[string]string{
		"PATH": "/tmp", "LD_LIBRARY_PATH": "/tmp", "LD_PRELOAD": "/tmp/x.so", "GLIBC_TUNABLES": "x", "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": "/tmp", "BASH_ENV": "/tmp/x", "BASH_FUNC_exec%%": "() { :; }",
		"CONSUL_HTTP_TOKEN": "secret", "NOMAD_TOKEN_mesh": "secret", "A": "b=c", "UPSTREAM_PORT": "1",
	}}
	must.SliceContainsAll(t, []string{"A=b=c", "UPSTREAM_PORT=1", "PATH=/usr/bin", "LD_LIBRARY_PATH=/opt/envoy/lib"}, envoyEnv(task))
}
