package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// addTokens gives a sidecar its token, and the operator's for what is asked of
// the agent itself. The operator's goes to the operator's Consul only: a job
// could name any other.
func (p *Plugin) addTokens(spec *sidecar.Spec, task *drivers.TaskConfig) error {
	var err error
	if spec.Consul.Token, err = taskToken(task, spec.Consul.TokenFile, spec.Run.User); err != nil {
		return err
	}
	config := p.config.Load()
	if spec.Consul.Address == consulSettings(p.environ, config.Consul, nil).Address {
		spec.Consul.AgentToken, err = operatorToken(config.PluginConfig)
	}
	return err
}

// operatorToken is what the plugin itself asks Consul with.
func operatorToken(config PluginConfig) (string, error) {
	file := orZero(config.Consul).TokenFile
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the Consul ACL token of the plugin's config: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// taskToken finds the ACL token that the task's sidecar acts with: the file
// that the job names, then what Nomad wrote for the task. Empty is no error;
// with ACLs, Consul's refusal says what is missing.
func taskToken(task *drivers.TaskConfig, file string, user process.User) (string, error) {
	if file != "" {
		return readTaskFile(task, file, user)
	}
	for _, name := range []string{"si_token", "consul_token"} {
		token, err := readTaskFile(task, filepath.Join(task.TaskDir().SecretsDir, name), user)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return token, err
	}
	return task.Env[api.HTTPTokenEnvName], nil
}

// readTaskFile reads a file with a token.
func readTaskFile(task *drivers.TaskConfig, file string, user process.User) (string, error) {
	content, err := readJobFile(task, file, user)
	if err != nil {
		return "", fmt.Errorf("read the Consul ACL token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
