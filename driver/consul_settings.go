package driver

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/consul"
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
	verify, err := strconv.ParseBool(getenv(api.HTTPSSLVerifyEnvName))
	return environ{
		consulAddress: address,
		grpcAddress:   getenv(api.GRPCAddrEnvName),
		grpcCAFile:    getenv(api.GRPCCAFileEnvName),
		namespace:     getenv(api.HTTPNamespaceEnvName),
		partition:     getenv(api.HTTPPartitionEnvName),
		tls: api.TLSConfig{
			CAFile:   getenv(api.HTTPCAFile),
			CAPath:   getenv(api.HTTPCAPath),
			CertFile: getenv(api.HTTPClientCert),
			KeyFile:  getenv(api.HTTPClientKey),
			Address:  getenv(api.HTTPTLSServerName),

			InsecureSkipVerify: err == nil && !verify,
		},
	}
}

// consulSettings says how to reach Consul: the job's word, else the
// operator's, else the environment's. The tokens are added by tokens.
func consulSettings(env environ, operator *ConsulConfig, job *TaskConsulConfig) consul.Config {
	o, j := orZero(operator), orZero(job)
	return consul.Config{
		Address:     cmp.Or(j.Address, o.Address, env.consulAddress),
		TokenFile:   j.TokenFile,
		Identity:    j.Identity,
		AuthMethod:  cmp.Or(j.AuthMethod, o.AuthMethod, stockAuthMethod),
		Namespace:   cmp.Or(j.Namespace, o.Namespace, env.namespace),
		Partition:   cmp.Or(j.Partition, o.Partition, env.partition),
		GRPCAddress: cmp.Or(j.GRPCAddress, o.GRPCAddress, env.grpcAddress),
		GRPCCAFile:  cmp.Or(o.GRPCCAFile, env.grpcCAFile),
		TLS: api.TLSConfig{
			CAFile:   cmp.Or(o.CAFile, env.tls.CAFile),
			CAPath:   env.tls.CAPath, // a file goes before it
			CertFile: cmp.Or(o.CertFile, env.tls.CertFile),
			KeyFile:  cmp.Or(o.KeyFile, env.tls.KeyFile),
			Address:  cmp.Or(o.TLSServerName, env.tls.Address),

			InsecureSkipVerify: env.tls.InsecureSkipVerify,
		},
	}
}

// identityName is how Nomad has an identity called. What is named otherwise would be a
// path to somewhere else.
var identityName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// placeToken judges where a job says that its token comes from.
func placeToken(c *consul.Config, task *drivers.TaskConfig) error {
	if c.Identity != "" && !identityName.MatchString(c.Identity) {
		return sidecar.Invalidf("consul.identity", "%q is not the name of an identity: it has letters, digits, - and _ only, as in the task's block identity { name = … }", c.Identity)
	}
	if c.TokenFile != "" && !filepath.IsAbs(c.TokenFile) {
		c.TokenFile = filepath.Join(task.TaskDir().Dir, c.TokenFile)
	}
	return nil
}

// consulNames are the namespace and the partition that a sidecar is registered in.
func consulNames(n node, config TaskConfig) (namespace, partition string) {
	settings := consulSettings(n.environ, n.config.Consul, config.Consul)
	return settings.Namespace, settings.Partition
}
