package agents

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hashicorp/nomad/api"
)

// Cluster is one Consul and one Nomad with the driver, below one directory. It
// is its first node, on which the servers are, too.
type Cluster struct {
	Node

	opts          Options
	others        []*Node
	cgroup        string
	cgroupsBefore []string
}

// Options say what a cluster is made of.
type Options struct {
	Tools  string // directory with consul, nomad, envoy
	Plugin string // the built driver
	Parent string // directory to make the cluster's own in; empty for the system's

	Consul ConsulOptions

	// Interface has the address of the nodes; empty for loopback, which groups in
	// bridge mode do not reach.
	Interface string

	// Identities gives services and tasks Consul tokens of their own.
	Identities bool

	// NomadToken turns Nomad's ACLs on; this one manages.
	NomadToken string

	// Allow is what the operator leaves to jobs besides what the example jobs need: the
	// lines of the plugin's allow block.
	Allow string

	// Confine is how the operator has proxies confined; empty for the driver's own way.
	Confine string

	// NoEnvoy leaves Envoy uninstalled. InstallEnvoy does it later.
	NoEnvoy bool

	// WithoutConsul starts Nomad first; the test starts Consul by itself, at
	// this address.
	WithoutConsul string
}

// StartCluster installs and starts all of it, and waits for the driver.
func StartCluster(ctx context.Context, opts Options) (*Cluster, error) {
	var err error
	if opts.Tools, err = filepath.Abs(opts.Tools); err != nil {
		return nil, err
	}
	if opts.Plugin, err = filepath.Abs(opts.Plugin); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(opts.Parent, "connect-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Node: Node{Dir: dir}, opts: opts, cgroup: filepath.Base(dir), cgroupsBefore: cgroupRoots("")}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.install(); err != nil {
		return err
	}
	address := c.opts.WithoutConsul
	if address == "" {
		var err error
		if c.Consul, err = StartConsul(ctx, c.opts.Tools, filepath.Join(c.Dir, "consul"), c.opts.Consul); err != nil {
			return err
		}
		address = c.Consul.HTTP
	}
	nomad, err := c.nomadOptions(address, c.cgroup)
	if err != nil {
		return err
	}
	if c.opts.Consul.TLS != "" {
		nomad.Consul, nomad.ConsulTLS, nomad.ConsulGRPC = c.Consul.HTTPS, c.opts.Consul.TLS, c.Consul.GRPC
	}
	c.Nomad, err = StartNomad(ctx, c.opts.Tools, c.Dir, nomad)
	if err != nil || c.opts.WithoutConsul != "" || c.opts.NoEnvoy {
		return err
	}
	return c.Nomad.AwaitDriver(ctx)
}

// nomadOptions are those of a Nomad that talks to the Consul agent at an address.
func (c *Cluster) nomadOptions(consul, cgroup string) (NomadOptions, error) {
	first, err := portRange()
	return NomadOptions{
		PluginDir:    filepath.Join(c.Dir, "plugins"),
		Consul:       consul,
		ConsulToken:  c.opts.Consul.Token,
		CgroupParent: cgroup,
		PortRange:    [2]int{first, first + portRangeSize - 1},
		PluginConfig: c.pluginConfig(),
		Interface:    c.opts.Interface,
		Identities:   c.opts.Identities,
		Token:        c.opts.NomadToken,
	}, err
}

// Shell is a command line as a person types it: the shell knows where the agents
// answer, and has the tools and the driver in PATH.
func (c *Cluster) Shell(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR=http://"+c.Nomad.HTTP, "CONSUL_HTTP_ADDR="+c.Consul.HTTP,
		"NOMAD_TOKEN="+c.opts.NomadToken, "CONSUL_HTTP_TOKEN="+c.opts.Consul.Token,
		"PATH="+c.opts.Tools+":"+filepath.Dir(c.opts.Plugin)+":"+os.Getenv("PATH"))
	return cmd
}

// EdgeUser is whom the edges of the calculator share a port as.
const EdgeUser = "18080"

// pluginConfig is the block that an operator writes.
func (c *Cluster) pluginConfig() string {
	consul := ""
	if c.opts.Consul.Token != "" {
		consul = fmt.Sprintf("\n    consul {\n      token_file = %q\n%s    }", c.TokenFile(), c.pluginTLS())
	}
	if c.opts.Consul.Sockets {
		at := filepath.Join(c.Dir, "consul")
		consul = fmt.Sprintf("\n    consul {\n      address      = \"unix://%s\"\n      grpc_address = \"unix://%s\"\n    }", filepath.Join(at, ConsulSocket), filepath.Join(at, ConsulXDSSocket))
	}
	if c.opts.Confine != "" {
		consul += fmt.Sprintf("\n    confine = %q", c.opts.Confine)
	}
	return fmt.Sprintf(`  config {
    envoy {
      path = %q
    }
    hot_restart {
      spread = "1s" # of minutes, for which no test waits
    }
    allow {
      users = [%q]
%s
    }%s
  }`, c.Envoy(), EdgeUser, c.opts.Allow, consul)
}

// pluginTLS is the part of it by which the plugin reaches a Consul with TLS.
func (c *Cluster) pluginTLS() string {
	if c.opts.Consul.TLS == "" {
		return ""
	}
	return fmt.Sprintf(`      address         = "https://%[2]s"
      tls_server_name = "server.dc1.consul"
      ca_file         = "%[1]s/ca.pem"
      cert_file       = "%[1]s/client.pem"
      key_file        = "%[1]s/client-key.pem"
      grpc_ca_file    = "%[1]s/ca.pem"
`, c.opts.Consul.TLS, c.Consul.HTTPS)
}

// Close stops every job, then the agents, and removes the directory. Whatever
// still runs from there afterwards is ended, and is an error.
func (c *Cluster) Close(ctx context.Context) error {
	var errs []error
	if c.Nomad != nil {
		errs = append(errs, c.PurgeJobs(ctx))
		for _, node := range c.others {
			errs = append(errs, node.stop())
		}
		errs = append(errs, c.Nomad.StopAll())
	}
	if c.Consul != nil {
		errs = append(errs, c.Consul.Stop())
	}
	errs = append(errs, c.endLeftovers(), unmountBelow(c.Dir), os.RemoveAll(c.Dir), removeCgroups(ctx, cgroupRoots(c.cgroup), c.cgroupsBefore))
	return errors.Join(errs...)
}

// PurgeJobs stops and purges all jobs and waits until no task runs, also of
// jobs that were purged before.
func (c *Cluster) PurgeJobs(ctx context.Context) error {
	opts := (&api.QueryOptions{}).WithContext(ctx)
	jobs, _, err := c.Nomad.Client.Jobs().List(opts)
	if err != nil {
		return fmt.Errorf("list the jobs to stop: %w", err)
	}
	for _, job := range jobs {
		if err := c.Nomad.stopJob(ctx, job.ID); err != nil {
			return err
		}
	}
	for _, job := range jobs {
		if err := c.Nomad.Purge(ctx, job.ID); err != nil {
			return err
		}
	}
	allocs, _, err := c.Nomad.Client.Allocations().List(opts)
	if err != nil {
		return fmt.Errorf("list the allocations: %w", err)
	}
	for _, alloc := range allocs {
		if err := c.Nomad.awaitDead(ctx, alloc.ID); err != nil {
			return err
		}
	}
	return nil
}
