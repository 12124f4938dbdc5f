package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"
)

// Consul is an agent with a data directory.
type Consul struct {
	Agent
	HTTP   string // "127.0.0.1:port"
	HTTPS  string // the same, with TLS; empty when it is off
	GRPC   int    // 0 when it is off
	Client *api.Client

	gossip string // where others join it
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

	// TLS is a directory with ca.pem, cert.pem and key.pem, with which the agent proves who
	// it is over HTTPS and gRPC, and wants its clients to over HTTPS. Empty for none of
	// that. (HTTP stays, for the test.)
	TLS string

	// Sockets has the agent answer on unix sockets, too, HTTP and gRPC: ConsulSocket and
	// ConsulXDSSocket of its directory. Nobody but the plugin and the proxies uses them.
	Sockets bool

	// What makes it a client agent of another one's servers.
	node string  // its name; empty for the server's
	join *Consul // nil for a server
}

const consulConfig = `
data_dir   = %q
node_name  = %q
bind_addr  = "127.0.0.1"
client_addr = "127.0.0.1"
disable_update_check = true
performance { raft_multiplier = 1 }
ui_config { enabled = true }
connect { enabled = %t }
ports {
  http     = %d
  grpc     = %d
  grpc_tls = %d
  https    = %d
  dns      = -1
  server   = %d
  serf_lan = %d
  serf_wan = -1
}
`

const consulServerConfig = `
server     = true
bootstrap_expect = 1
`

// Names in the directory of an agent.
const (
	ConsulSocket    = "http.sock"
	ConsulXDSSocket = "grpc.sock"
)

const socketsConfig = `
addresses {
  http = "127.0.0.1 unix://%s"
  grpc = "127.0.0.1 unix://%s"
}
unix_sockets { mode = "0666" }
`

const tlsConfig = `
tls {
  defaults {
    ca_file         = "%[1]s/ca.pem"
    cert_file       = "%[1]s/cert.pem"
    key_file        = "%[1]s/key.pem"
    verify_incoming = true
    verify_outgoing = true
  }
  grpc {
    verify_incoming = false # an Envoy proves itself by its token
  }
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

// StartConsul starts one below dir and waits until there is a leader.
func StartConsul(ctx context.Context, bin, dir string, opts ConsulOptions) (*Consul, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// A server writes its log, with all tokens in it, for everybody to read.
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	free, err := FreePorts(5)
	if err != nil {
		return nil, err
	}
	ports := opts.ports([5]int(free))
	args := []string{"agent"}
	for i, content := range []string{opts.config(dir, ports), opts.Config} { // what is read last holds
		file := filepath.Join(dir, fmt.Sprintf("consul-%d.hcl", i))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
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
		HTTP:   fmt.Sprintf("127.0.0.1:%d", ports.http),
		GRPC:   max(ports.grpc, ports.grpcTLS, 0),
		gossip: fmt.Sprintf("127.0.0.1:%d", ports.gossip),
		data:   filepath.Join(dir, "data"),
	}
	if opts.TLS != "" {
		c.HTTPS = fmt.Sprintf("127.0.0.1:%d", ports.https)
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

// consulPorts are those that an agent listens on; -1 for one that is off.
type consulPorts struct{ http, https, grpc, grpcTLS, server, gossip int }

func (o ConsulOptions) ports(free [5]int) consulPorts {
	ports := consulPorts{http: cmp.Or(o.HTTPPort, free[0]), https: -1, grpc: cmp.Or(o.GRPCPort, free[1]), grpcTLS: -1, server: free[2], gossip: free[3]}
	if o.TLS != "" {
		ports.https, ports.grpcTLS, ports.grpc = free[4], ports.grpc, -1
	}
	if o.NoGRPC {
		ports.grpc, ports.grpcTLS = -1, -1
	}
	return ports
}

// config is the agent's, as HCL.
func (o ConsulOptions) config(dir string, ports consulPorts) string {
	config := fmt.Sprintf(consulConfig, filepath.Join(dir, "data"), cmp.Or(o.node, "node"), !o.NoConnect, ports.http, ports.grpc, ports.grpcTLS, ports.https, ports.server, ports.gossip)
	if o.join == nil {
		config += consulServerConfig
	} else {
		config += fmt.Sprintf("retry_join = [%q]\n", o.join.gossip)
	}
	if o.Sockets {
		config += fmt.Sprintf(socketsConfig, filepath.Join(dir, ConsulSocket), filepath.Join(dir, ConsulXDSSocket))
	}
	if o.TLS != "" {
		config += fmt.Sprintf(tlsConfig, o.TLS)
	}
	if o.Token != "" {
		config += fmt.Sprintf(aclConfig, o.Token, o.Token)
	}
	return config
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
