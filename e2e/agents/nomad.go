package agents

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/api"
)

// Nomad is a server agent and a client agent with the driver installed. The
// embedded Agent is the client.
type Nomad struct {
	Agent
	Server Agent
	HTTP   string // of the server: "127.0.0.1:port"
	Client *api.Client
}

// NomadOptions are what differs between clusters.
type NomadOptions struct {
	Consul       string // HTTP address of the Consul agent
	ConsulToken  string
	PluginDir    string
	PluginConfig string // HCL, the plugin's config block
	CgroupParent string
	PortRange    [2]int // dynamic ports
}

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
}
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
  network_interface = "lo"
  cni_path          = "/usr/lib/cni"
  cgroup_parent     = %q
  min_dynamic_port  = %d
  max_dynamic_port  = %d
  # Nobody else's cloud is asked what this machine is.
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
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

// StartNomad starts both agents below dir.
func StartNomad(ctx context.Context, bin, dir string, opts NomadOptions) (*Nomad, error) {
	ports, err := FreePorts(5)
	if err != nil {
		return nil, err
	}
	n := &Nomad{HTTP: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	if n.Client, err = api.NewClient(&api.Config{Address: "http://" + n.HTTP}); err != nil {
		return nil, err
	}
	server := nomadAgent{name: "nomad-server", ports: [3]int{ports[0], ports[1], ports[2]}, role: serverConfig}
	if n.Server, err = server.install(bin, dir, opts); err != nil {
		return nil, err
	}
	client := nomadAgent{name: "nomad", ports: [3]int{ports[3], ports[4], ports[4]}, role: fmt.Sprintf(clientConfig,
		opts.PluginDir, ports[1], opts.CgroupParent, opts.PortRange[0], opts.PortRange[1], opts.PluginConfig)}
	if n.Agent, err = client.install(bin, dir, opts); err != nil {
		return nil, err
	}
	if err := n.Server.Start(); err != nil {
		return nil, err
	}
	if err := n.awaitServer(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the Nomad server does not come up, see %s: %w", n.Server.Log, err), n.StopAll())
	}
	if err := n.Start(); err != nil {
		return nil, errors.Join(err, n.StopAll())
	}
	if err := n.Await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the Nomad client does not come up, see %s: %w", n.Log, err), n.StopAll())
	}
	return n, nil
}

// nomadAgent is one of the two.
type nomadAgent struct {
	name  string
	ports [3]int // http, rpc, serf
	role  string // HCL
}

func (a nomadAgent) install(bin, dir string, opts NomadOptions) (Agent, error) {
	dir = filepath.Join(dir, a.name)
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return Agent{}, err
	}
	config := fmt.Sprintf(commonConfig, filepath.Join(dir, "data"), a.name, a.ports[0], a.ports[1], a.ports[2], opts.Consul, opts.ConsulToken) + a.role
	file := filepath.Join(dir, "nomad.hcl")
	return Agent{
		Name: a.name,
		Log:  filepath.Join(dir, "nomad.log"),
		path: filepath.Join(bin, "nomad"),
		args: []string{"agent", "-config", file, "-log-level", "DEBUG"},
		env:  append(os.Environ(), "CONSUL_HTTP_ADDR="+opts.Consul, "CONSUL_HTTP_TOKEN="+opts.ConsulToken, "TMPDIR="+tmp),
	}, os.WriteFile(file, []byte(config), 0o644)
}

// StopAll ends both agents, the client first.
func (n *Nomad) StopAll() error { return errors.Join(n.Stop(), n.Server.Stop()) }

// awaitServer returns when clients can register: there is a leader, and it has
// the key that it signs their identities with.
func (n *Nomad) awaitServer(ctx context.Context) error {
	return n.Server.within(ctx, time.Minute, func(ctx context.Context) error {
		keys, _, err := n.Client.Keyring().List((&api.QueryOptions{}).WithContext(ctx))
		if err == nil && len(keys) == 0 {
			err = errors.New("the server has no keyring yet")
		}
		return err
	})
}

// Await returns when the node is ready for jobs.
func (n *Nomad) Await(ctx context.Context) error {
	return n.within(ctx, time.Minute, func(ctx context.Context) error {
		nodes, _, err := n.Client.Nodes().List((&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if len(nodes) != 1 || nodes[0].Status != api.NodeStatusReady {
			return errors.New("the node is not ready")
		}
		return nil
	})
}

// Driver gives what the node says of the driver.
func (n *Nomad) Driver(ctx context.Context) (*api.DriverInfo, map[string]string, error) {
	opts := (&api.QueryOptions{}).WithContext(ctx)
	nodes, _, err := n.Client.Nodes().List(opts)
	if err != nil || len(nodes) == 0 {
		return nil, nil, errors.Join(errors.New("there is no node"), err)
	}
	node, _, err := n.Client.Nodes().Info(nodes[0].ID, opts)
	if err != nil {
		return nil, nil, err
	}
	info, ok := node.Drivers["connect"]
	if !ok {
		return nil, nil, errors.New("the node knows no driver \"connect\"; is the plugin in its plugin_dir?")
	}
	return info, node.Attributes, nil
}

// AwaitDriver returns when the driver is healthy.
func (n *Nomad) AwaitDriver(ctx context.Context) error {
	return Within(ctx, time.Minute, func(ctx context.Context) error {
		info, _, err := n.Driver(ctx)
		if err == nil && !info.Healthy {
			err = fmt.Errorf("the driver is not healthy: %s", info.HealthDescription)
		}
		return err
	})
}
