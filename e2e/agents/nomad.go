package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/api"
)

// Nomad is a server agent and a client agent with the driver installed. The
// embedded Agent is the client, and its Name that of the node.
type Nomad struct {
	Agent
	Server Agent  // on the first node of a cluster only
	HTTP   string // of the server: "127.0.0.1:port"
	Client *api.Client

	rpc int // the server's port
}

// NomadOptions are what differs between clusters.
type NomadOptions struct {
	Consul       string // HTTP address of the Consul agent
	ConsulTLS    string // directory with what it is reached with over TLS; empty for without
	ConsulGRPC   int    // its port for xDS, needed with TLS
	ConsulToken  string
	PluginDir    string
	PluginConfig string // HCL, the plugin's config block
	CgroupParent string
	PortRange    [2]int // dynamic ports
	Interface    string // that of the node's address; empty for loopback
	Token        string // turns ACLs on; this one manages
	Identities   bool   // services and tasks get tokens of their own from Consul
}

// StartNomad starts both agents below dir.
func StartNomad(ctx context.Context, bin, dir string, opts NomadOptions) (*Nomad, error) {
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	n := &Nomad{HTTP: fmt.Sprintf("127.0.0.1:%d", ports[0]), rpc: ports[1]}
	if n.Client, err = api.NewClient(&api.Config{Address: "http://" + n.HTTP, SecretID: opts.Token}); err != nil {
		return nil, err
	}
	server := nomadAgent{name: "nomad-server", ports: [3]int(ports), role: serverConfig}
	if n.Server, err = server.install(bin, filepath.Join(dir, "nomad-server"), opts); err != nil {
		return nil, err
	}
	if err := n.Server.Start(); err != nil {
		return nil, err
	}
	if err := n.awaitServer(ctx, opts.Token); err != nil {
		return nil, errors.Join(fmt.Errorf("the Nomad server does not come up, see %s: %w", n.Server.Log, err), n.StopAll())
	}
	if err := n.startClient(ctx, bin, dir, "nomad", opts); err != nil {
		return nil, errors.Join(err, n.StopAll())
	}
	return n, nil
}

// join starts another client of the same server below dir.
func (n *Nomad) join(ctx context.Context, bin, dir, name string, opts NomadOptions) (*Nomad, error) {
	other := &Nomad{HTTP: n.HTTP, Client: n.Client, rpc: n.rpc}
	if err := other.startClient(ctx, bin, dir, name, opts); err != nil {
		return nil, errors.Join(err, other.StopAll())
	}
	return other, nil
}

func (n *Nomad) startClient(ctx context.Context, bin, dir, name string, opts NomadOptions) error {
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	client := nomadAgent{name: name, ports: [3]int{ports[0], ports[1], ports[1]}, role: fmt.Sprintf(clientConfig,
		opts.PluginDir, n.rpc, cmp.Or(opts.Interface, "lo"), opts.CgroupParent, opts.PortRange[0], opts.PortRange[1], opts.PluginConfig)}
	if n.Agent, err = client.install(bin, filepath.Join(dir, "nomad"), opts); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	if err := n.Await(ctx); err != nil {
		return fmt.Errorf("the Nomad client %s does not come up, see %s: %w", name, n.Log, err)
	}
	return nil
}

// StopAll ends both agents, the client first.
func (n *Nomad) StopAll() error { return errors.Join(n.Stop(), n.Server.Stop()) }

// awaitServer returns when clients can register: there is a leader, and it has
// the key that it signs their identities with. With ACLs the first token that is made
// manages.
func (n *Nomad) awaitServer(ctx context.Context, token string) error {
	made := token == ""
	return n.Server.within(ctx, time.Minute, func(ctx context.Context) error {
		if !made {
			if _, _, err := n.Client.ACLTokens().BootstrapOpts(token, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
				return err
			}
			made = true
		}
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
		node, err := n.Node(ctx)
		if err == nil && node.Status != api.NodeStatusReady {
			err = fmt.Errorf("the node %s is %s", n.Name, node.Status)
		}
		return err
	})
}

// Node is what the server knows of the client.
func (n *Nomad) Node(ctx context.Context) (*api.Node, error) {
	opts := (&api.QueryOptions{}).WithContext(ctx)
	nodes, _, err := n.Client.Nodes().List(opts)
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		if node.Name == n.Name {
			node, _, err := n.Client.Nodes().Info(node.ID, opts)
			return node, err
		}
	}
	return nil, fmt.Errorf("there is no node %s", n.Name)
}

// Driver gives what the node says of the driver.
func (n *Nomad) Driver(ctx context.Context) (*api.DriverInfo, map[string]string, error) {
	node, err := n.Node(ctx)
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
