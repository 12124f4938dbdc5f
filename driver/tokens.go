package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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

// maxToken is far more than any token has.
const maxToken = 64 << 10

// readTaskFile reads what a job may have read: a file in the task's secrets
// directory, or one that the proxy's user could read itself. (The rest of the
// allocation is no better than anywhere: an exec task's root has copies of the
// host's files in it.)
func readTaskFile(task *drivers.TaskConfig, file string, user process.User) (token string, err error) {
	var content []byte
	secrets := task.TaskDir().SecretsDir
	if path := filepath.Clean(file); strings.HasPrefix(path, secrets+"/") {
		content, err = readSmall(sidecar.OpenBelow(secrets, path, os.O_RDONLY|syscall.O_NONBLOCK))
	} else {
		err = process.AsUser(user, func() (err error) {
			content, err = readSmall(os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0))
			return err
		})
	}
	if err != nil {
		return "", fmt.Errorf("read the Consul ACL token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// readSmall reads a regular file and closes it. Others may have made the file:
// it could be a FIFO that nobody ever writes to, or have no end.
func readSmall(f *os.File, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxToken {
		return nil, fmt.Errorf("%s is no file with a token in it (mode %s, %d bytes)", f.Name(), info.Mode(), info.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxToken))
}
