package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/nomad/api"
	"golang.org/x/sys/unix"
)

// Cluster is one Consul and one Nomad with the driver, below one directory.
type Cluster struct {
	Dir    string
	Consul *Consul
	Nomad  *Nomad

	cgroup        string
	cgroupsBefore []string
}

// Options say what a cluster is made of.
type Options struct {
	Tools  string // directory with consul, nomad, envoy
	Plugin string // the built driver
	Parent string // directory to make the cluster's own in; empty for the system's

	Consul ConsulOptions

	// NoEnvoy leaves Envoy uninstalled. InstallEnvoy does it later.
	NoEnvoy bool

	// WithoutConsul starts Nomad first; the test starts Consul by itself, at
	// this address.
	WithoutConsul string
}

// StartCluster installs and starts all of it, and waits for the driver.
func StartCluster(ctx context.Context, opts Options) (*Cluster, error) {
	dir, err := os.MkdirTemp(opts.Parent, "connect-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, cgroup: filepath.Base(dir), cgroupsBefore: cgroupRoots("")}
	if err := c.start(ctx, opts); err != nil {
		return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, opts Options) error {
	tools, err := filepath.Abs(opts.Tools)
	if err != nil {
		return err
	}
	if err := c.install(opts); err != nil {
		return err
	}
	address := opts.WithoutConsul
	if address == "" {
		if c.Consul, err = StartConsul(ctx, tools, filepath.Join(c.Dir, "consul"), opts.Consul); err != nil {
			return err
		}
		address = c.Consul.HTTP
	}
	first, err := portRange()
	if err != nil {
		return err
	}
	c.Nomad, err = StartNomad(ctx, tools, c.Dir, NomadOptions{
		PluginDir:    filepath.Join(c.Dir, "plugins"),
		Consul:       address,
		ConsulToken:  opts.Consul.Token,
		CgroupParent: c.cgroup,
		PortRange:    [2]int{first, first + portRangeSize - 1},
		PluginConfig: c.pluginConfig(opts),
	})
	if err != nil || opts.WithoutConsul != "" || opts.NoEnvoy {
		return err
	}
	return c.Nomad.AwaitDriver(ctx)
}

// pluginConfig is the block that an operator writes.
func (c *Cluster) pluginConfig(opts Options) string {
	consul := ""
	if opts.Consul.Token != "" {
		consul = fmt.Sprintf("\n    consul {\n      token_file = %q\n    }", c.TokenFile())
	}
	return fmt.Sprintf("  config {\n    envoy {\n      path = %q\n    }%s\n  }", c.Envoy(), consul)
}

// TokenFile is where the operator keeps the token of the plugin.
func (c *Cluster) TokenFile() string { return filepath.Join(c.Dir, "consul.token") }

// Envoy is where the cluster's Envoy is installed.
func (c *Cluster) Envoy() string { return filepath.Join(c.Dir, "bin", "envoy") }

// install puts the driver and Envoy where an operator would: the driver into
// plugin_dir, Envoy where every user may execute it.
func (c *Cluster) install(opts Options) error {
	for _, dir := range []string{"bin", "plugins"} {
		if err := os.Mkdir(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.Dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(opts.Plugin, filepath.Join(c.Dir, "plugins", "nomad-driver-connect")); err != nil {
		return err
	}
	if opts.Consul.Token != "" {
		if err := os.WriteFile(c.TokenFile(), []byte(opts.Consul.Token+"\n"), 0o600); err != nil {
			return err
		}
	}
	if opts.NoEnvoy {
		return nil
	}
	return c.InstallEnvoy(opts.Tools)
}

// InstallEnvoy puts Envoy in place at once, never half of it.
func (c *Cluster) InstallEnvoy(tools string) error {
	partial := c.Envoy() + ".partial"
	if err := copyFile(filepath.Join(tools, "envoy"), partial); err != nil {
		return err
	}
	return os.Rename(partial, c.Envoy())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w; is everything built? (make tools build)", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// portRangeSize is how many dynamic ports a cluster may give to its jobs.
const portRangeSize = 200

// portRange finds a run of dynamic ports below the kernel's ephemeral ones, by
// claiming its first port for as long as this process lives: two clusters on
// one machine get different runs.
func portRange() (int, error) {
	for first := 20000; first+portRangeSize <= 32000; first += portRangeSize {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		name := "@nomad-driver-connect-ports-" + strconv.Itoa(first)
		if unix.Bind(fd, &unix.SockaddrUnix{Name: name}) == nil {
			return first, nil
		}
		_ = unix.Close(fd)
	}
	return 0, errors.New("no free run of dynamic ports is left")
}

// Close stops every job, then the agents, and removes the directory. Whatever
// still runs from there afterwards is ended, and is an error.
func (c *Cluster) Close(ctx context.Context) error {
	var errs []error
	if c.Nomad != nil {
		errs = append(errs, c.PurgeJobs(ctx), c.Nomad.StopAll())
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
