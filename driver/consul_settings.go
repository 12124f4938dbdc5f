package driver

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// environ is what the driver takes from the environment of Nomad's agent.
type environ struct {
	consulAddress, grpcAddress, grpcCAFile string
	namespace, partition                   string
	tls                                    api.TLSConfig
}

// readEnviron reads the CONSUL_* variables, as the consul command knows them.
// The token is not among them: a task's sidecar never acts as the agent.
func readEnviron(getenv func(string) string) environ {
	address := cmp.Or(getenv(api.HTTPAddrEnvName), "127.0.0.1:8500")
	if ssl := getenv(api.HTTPSSLEnvName); (ssl == "true" || ssl == "1") && !strings.Contains(address, "://") {
		address = "https://" + address
	}
	return environ{
		consulAddress: address,
		grpcAddress:   getenv(api.GRPCAddrEnvName),
		grpcCAFile:    getenv(api.GRPCCAFileEnvName),
		namespace:     getenv(api.HTTPNamespaceEnvName),
		partition:     getenv(api.HTTPPartitionEnvName),
		tls: api.TLSConfig{
			CAFile:   getenv(api.HTTPCAFile),
			CertFile: getenv(api.HTTPClientCert),
			KeyFile:  getenv(api.HTTPClientKey),
			Address:  getenv(api.HTTPTLSServerName),
		},
	}
}

// consulSettings says how to reach Consul: the job's word, else the
// operator's, else the environment's. The token is added by taskToken.
func consulSettings(env environ, operator, job *ConsulConfig) sidecar.ConsulConfig {
	o, j := orZero(operator), orZero(job)
	return sidecar.ConsulConfig{
		Address:     cmp.Or(j.Address, o.Address, env.consulAddress),
		TokenFile:   j.TokenFile,
		Namespace:   cmp.Or(j.Namespace, o.Namespace, env.namespace),
		Partition:   cmp.Or(j.Partition, o.Partition, env.partition),
		GRPCAddress: cmp.Or(j.GRPCAddress, o.GRPCAddress, env.grpcAddress),
		GRPCCAFile:  cmp.Or(j.GRPCCAFile, o.GRPCCAFile, env.grpcCAFile),
		TLS: api.TLSConfig{
			CAFile:   cmp.Or(j.CAFile, o.CAFile, env.tls.CAFile),
			CertFile: cmp.Or(j.CertFile, o.CertFile, env.tls.CertFile),
			KeyFile:  cmp.Or(j.KeyFile, o.KeyFile, env.tls.KeyFile),
			Address:  cmp.Or(j.TLSServerName, o.TLSServerName, env.tls.Address),
		},
	}
}

// taskToken finds the ACL token that the task's sidecar acts with: the file
// that the job names, then what Nomad wrote for the task. Empty is no error;
// with ACLs, Consul's refusal says what is missing.
func taskToken(task *drivers.TaskConfig, file string) (string, error) {
	if file != "" {
		return readToken(file)
	}
	secrets := task.TaskDir().SecretsDir
	for _, name := range []string{"si_token", "consul_token"} {
		token, err := readToken(filepath.Join(secrets, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return token, err
	}
	return task.Env[api.HTTPTokenEnvName], nil
}

// operatorToken is what the plugin itself asks Consul with; never a task.
func (p *Plugin) operatorToken() (string, error) {
	file := orZero(p.config.Load().Consul).TokenFile
	if file == "" {
		return "", nil
	}
	return readToken(file)
}

func readToken(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the Consul ACL token: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}
