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

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
)

// addTokens adds the tokens of now.
func (p *Plugin) addTokens(spec *proxySpec, task *drivers.TaskConfig) error {
	tokens, err := p.tokens(*spec, task)
	spec.Consul.Token, spec.Consul.AgentToken = tokens.Task, tokens.Agent
	return err
}

// tokens gives a sidecar's token, and the operator's for what is asked of the agent
// itself. The operator's goes to the operator's Consul only: a job could name any
// other.
func (p *Plugin) tokens(spec proxySpec, task *drivers.TaskConfig) (tokens consul.Tokens, err error) {
	if tokens.Task, err = taskToken(task, spec.Consul.TokenFile, spec.Life.Run.User); err != nil {
		return tokens, err
	}
	if p.isOperators(spec.Consul) {
		tokens.Agent, err = operatorToken(p.config.Load().PluginConfig)
	}
	return tokens, err
}

// isOperators tells whether an agent is the operator's, which is this node's.
func (p *Plugin) isOperators(agent consul.Config) bool {
	return agent.Address == consulSettings(p.environ, p.config.Load().Consul, nil).Address
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
	for _, path := range nomadTokens(task) {
		token, err := readTaskFile(task, path, user)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return token, err
	}
	return task.Env[api.HTTPTokenEnvName], nil
}

// nomadTokens are the files in which Nomad gives a task its token.
func nomadTokens(task *drivers.TaskConfig) [2]string {
	secrets := task.TaskDir().SecretsDir
	return [2]string{filepath.Join(secrets, "si_token"), filepath.Join(secrets, "consul_token")}
}

// tokenFiles are all from which a sidecar's tokens may come.
func (p *Plugin) tokenFiles(spec proxySpec, task *drivers.TaskConfig) [4]string {
	nomads := nomadTokens(task)
	return [4]string{spec.Consul.TokenFile, nomads[0], nomads[1], orZero(p.config.Load().Consul).TokenFile}
}

// readTaskFile reads a file with a token.
func readTaskFile(task *drivers.TaskConfig, file string, user process.User) (string, error) {
	content, err := readJobFile(task, file, user)
	if err != nil {
		return "", fmt.Errorf("read the Consul ACL token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
