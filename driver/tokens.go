package driver

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/consul"
)

// addTokens adds the tokens that lie somewhere now. What a workload identity is exchanged
// for is not among them.
func (p *Plugin) addTokens(spec *proxySpec, task *drivers.TaskConfig) error {
	agent, err := p.agentToken(*spec)
	spec.Consul.AgentToken = agent // whatever is the matter with the task's
	sources := tokenSources(*spec, task)
	rank, content, findErr := findToken(sources, task, spec.Life.Run.User)
	switch {
	case findErr != nil:
		return errors.Join(p.tasks.missingFile(task, findErr), err)
	case content == "":
		return errors.Join(missingIdentity(sources), err)
	case sources[rank].identity == "":
		spec.Consul.Token = content
	}
	return err
}

// agentToken is the operator's, for what is asked of the agent itself. It goes to the
// operator's Consul only: a job could name any other.
func (p *Plugin) agentToken(spec proxySpec) (string, error) {
	if !p.isOperators(spec.Consul) {
		return "", nil
	}
	return operatorToken(p.config.Load().PluginConfig)
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

// tokenFiles are all in which another token may be found. Another JWT is no other token:
// Nomad renews it all the time.
func (p *Plugin) tokenFiles(spec proxySpec, task *drivers.TaskConfig) (files [4]string) {
	i := 0
	for _, source := range tokenSources(spec, task) {
		if source.file != "" && source.identity == "" {
			files[i] = source.file
			i++
		}
	}
	files[3] = orZero(p.config.Load().Consul).TokenFile
	return files
}
