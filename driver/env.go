package driver

import (
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"
)

// envoyEnv is the task's environment without its tokens. What decides which code runs is
// the agent's word there: a job's author would else run what it likes as Envoy.
func envoyEnv(task *drivers.TaskConfig) []string {
	var env []string
	for _, entry := range task.EnvList() {
		name, _, _ := strings.Cut(entry, "=")
		if isTokenVariable(name) {
			continue
		}
		if decidesCode(name) {
			value, ok := os.LookupEnv(name)
			if !ok {
				continue
			}
			entry = name + "=" + value
		}
		env = append(env, entry)
	}
	return env
}

// isTokenVariable tells the variables that carry tokens; no process is given
// them. (NOMAD_TOKEN_<name> holds a workload identity.)
func isTokenVariable(name string) bool {
	return slices.Contains([]string{"CONSUL_HTTP_TOKEN", "CONSUL_TOKEN", "VAULT_TOKEN"}, name) || strings.HasPrefix(name, "NOMAD_TOKEN")
}

// decidesCode tells the variables by which the loader, Envoy, the C library or a shell find code:
// an operator's Envoy may be a script that starts it.
func decidesCode(name string) bool {
	for _, prefix := range []string{"LD_", "ENVOY_DYNAMIC_MODULES_", "BASH_FUNC_", "PYTHON", "PERL5"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"PATH", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "MALLOC_TRACE",
		"ENV", "BASH_ENV", "BASHOPTS", "SHELLOPTS", "PS4", "IFS", "CDPATH", "PERLLIB", "RUBYOPT", "RUBYLIB", "NODE_OPTIONS",
	}, name)
}
