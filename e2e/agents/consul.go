package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"
)

// Consul is a server agent with a data directory.
type Consul struct {
	Agent
	HTTP   string // "127.0.0.1:port"
	GRPC   int    // 0 when it is off
	Client *api.Client
	data   string // its directory
}

// ConsulOptions are what tests vary.
type ConsulOptions struct {
	NoGRPC    bool
	NoConnect bool
	HTTPPort  int    // 0 for a free one
	GRPCPort  int    // 0 for a free one
	Token     string // turns ACLs on, nothing allowed by default; this one manages
	Config    string // HCL that goes before the rest
}

const consulConfig = `
data_dir   = %q
node_name  = "node"
server     = true
bootstrap_expect = 1
bind_addr  = "127.0.0.1"
client_addr = "127.0.0.1"
disable_update_check = true
performance { raft_multiplier = 1 }
ui_config { enabled = true }
connect { enabled = %t }
ports {
  http     = %d
  grpc     = %d
  grpc_tls = -1
  dns      = -1
  server   = %d
  serf_lan = %d
  serf_wan = -1
}
`

const aclConfig = `
acl {
  enabled        = true
  default_policy = "deny"
  tokens {
    initial_management = %q
    agent              = %q
  }
}
`

// StartConsul starts one below dir and waits until it has a leader.
func StartConsul(ctx context.Context, bin, dir string, opts ConsulOptions) (*Consul, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	ports, err := FreePorts(4)
	if err != nil {
		return nil, err
	}
	http, grpc := ports[0], ports[1]
	if opts.HTTPPort != 0 {
		http = opts.HTTPPort
	}
	if opts.GRPCPort != 0 {
		grpc = opts.GRPCPort
	}
	if opts.NoGRPC {
		grpc = -1
	}
	config := fmt.Sprintf(consulConfig, filepath.Join(dir, "data"), !opts.NoConnect, http, grpc, ports[2], ports[3])
	if opts.Token != "" {
		config += fmt.Sprintf(aclConfig, opts.Token, opts.Token)
	}
	args := []string{"agent"}
	for i, content := range []string{config, opts.Config} { // what is read last holds
		file := filepath.Join(dir, fmt.Sprintf("consul-%d.hcl", i))
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return nil, err
		}
		args = append(args, "-config-file", file)
	}
	c := &Consul{
		Agent: Agent{
			Name: "consul",
			Log:  filepath.Join(dir, "consul.log"),
			path: filepath.Join(bin, "consul"),
			args: args,
			env:  os.Environ(),
		},
		HTTP: fmt.Sprintf("127.0.0.1:%d", http),
		GRPC: max(grpc, 0),
		data: filepath.Join(dir, "data"),
	}
	if c.Client, err = api.NewClient(&api.Config{Address: c.HTTP, Token: opts.Token}); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if err := c.Await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("consul does not come up, see %s: %w", c.Log, err), c.Kill())
	}
	return c, nil
}

// Await returns when the agent can be written to.
func (c *Consul) Await(ctx context.Context) error {
	return c.within(ctx, time.Minute, func(ctx context.Context) error {
		opts := (&api.QueryOptions{}).WithContext(ctx)
		if leader, err := c.Client.Status().LeaderWithQueryOptions(opts); err != nil || leader == "" {
			return errors.Join(errors.New("no leader"), err)
		}
		_, err := c.Client.KV().Put(&api.KVPair{Key: "e2e/up"}, (&api.WriteOptions{}).WithContext(ctx))
		return err
	})
}

// Proxies are the registered sidecars, by their IDs.
func (c *Consul) Proxies(ctx context.Context) (map[string]*api.AgentService, error) {
	return c.Client.Agent().ServicesWithFilterOpts(`Kind == "connect-proxy"`, (&api.QueryOptions{}).WithContext(ctx))
}

// Snapshot has the server write a raft snapshot into its data directory, as
// every server does from time to time. What it starts with is in there: a server
// that has none tells Envoys after a restart that they have no upstreams.
func (c *Consul) Snapshot(ctx context.Context) error {
	archive, _, err := c.Client.Snapshot().Save((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, archive)
	return errors.Join(err, archive.Close())
}

// LoseData removes the data of an agent that is stopped.
func (c *Consul) LoseData() error { return os.RemoveAll(c.data) }

// Healthy are the registered sidecars of which all checks are passing, by their
// IDs.
func (c *Consul) Healthy(ctx context.Context) (map[string]bool, error) {
	proxies, err := c.Proxies(ctx)
	healthy := map[string]bool{}
	for id := range proxies {
		status, _, err := c.Client.Agent().AgentHealthServiceByIDOpts(id, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return nil, err
		}
		if status == api.HealthPassing {
			healthy[id] = true
		}
	}
	return healthy, err
}
