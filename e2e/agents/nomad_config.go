package agents

import (
	"fmt"
	"os"
	"path/filepath"
)

const commonConfig = `
data_dir  = %q
name      = %q
bind_addr = "127.0.0.1"
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
disable_update_check = true
leave_on_terminate   = false
ports {
  http = %d
  rpc  = %d
  serf = %d
}
consul {
  address = %q
  token   = %q
%s
}
acl {
  enabled = %t
}
`

// identities let Nomad ask Consul for a token of each service and task; that
// wants "nomad setup consul".
const identities = `
  service_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
  task_identity {
    aud = ["consul.io"]
    ttl = "1h"
  }
`

// secured has Nomad talk TLS with Consul.
const secured = `
  ssl          = true
  ca_file      = "%[1]s/ca.pem"
  cert_file    = "%[1]s/client.pem"
  key_file     = "%[1]s/client-key.pem"
  grpc_ca_file = "%[1]s/ca.pem"
  grpc_address = "127.0.0.1:%[2]d"
`

const serverConfig = `
server {
  enabled          = true
  bootstrap_expect = 1
  raft_multiplier  = 1
}
`

const clientConfig = `
plugin_dir = %q
client {
  enabled           = true
  servers           = ["127.0.0.1:%d"]
  network_interface = %q
  cni_path          = "/usr/lib/cni"
  cgroup_parent     = %q
  min_dynamic_port  = %d
  max_dynamic_port  = %d
  # Nobody else's cloud is asked what this machine is.
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
    "user.checked_drivers" = "exec,qemu,java,connect" # user.denylist holds for them
  }
  host_network "loopback" {
    cidr = "127.0.0.0/8"
  }
}
telemetry {
  publish_allocation_metrics = true # else Nomad asks no driver for stats
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
plugin "nomad-driver-connect" {
%s
}
`

// nomadAgent is a server or a client.
type nomadAgent struct {
	name  string
	ports [3]int // http, rpc, serf
	role  string // HCL
}

func (a nomadAgent) install(bin, dir string, opts NomadOptions) (Agent, error) {
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return Agent{}, err
	}
	// Tasks of other users than root pass through it; Nomad itself would make it root's alone.
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o711); err != nil {
		return Agent{}, err
	}
	consul := ""
	if opts.Identities {
		consul = identities
	}
	environ := append(os.Environ(), "CONSUL_HTTP_ADDR="+opts.Consul)
	if opts.ConsulTLS != "" {
		consul += fmt.Sprintf(secured, opts.ConsulTLS, opts.ConsulGRPC)
		environ = os.Environ() // the plugin's config says it
	}
	config := fmt.Sprintf(commonConfig, data, a.name, a.ports[0], a.ports[1], a.ports[2], opts.Consul, opts.ConsulToken, consul, opts.Token != "") + a.role
	file := filepath.Join(dir, "nomad.hcl")
	return Agent{
		Name: a.name,
		Log:  filepath.Join(dir, "nomad.log"),
		path: filepath.Join(bin, "nomad"),
		args: []string{"agent", "-config", file, "-log-level", "DEBUG"},
		env: append(environ, "CONSUL_HTTP_TOKEN="+opts.ConsulToken, "TMPDIR="+tmp,
			"PATH="+bin+":"+os.Getenv("PATH")), // Nomad's own Connect runs the consul command
	}, os.WriteFile(file, []byte(config), 0o600) // the token is in it
}
