package driver

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/drivers/shared/eventer"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/fsisolation"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

const (
	// Name is what jobs write: driver = "connect".
	Name = "connect"

	// Version of the driver, a semantic version.
	Version = "0.1.0"
)

// The interfaces of Nomad that the plugin implements.
var (
	_ drivers.DriverPlugin            = (*Plugin)(nil)
	_ drivers.ExecTaskStreamingDriver = (*Plugin)(nil)
)

// Plugin is the task driver.
type Plugin struct {
	ctx    context.Context // lives as long as the plugin
	log    hclog.Logger
	events *eventer.Eventer
	tasks  *tasks
	pool   consul.Pool
	agents consul.Agents
	watch  nodeWatch

	addresses process.Addresses
	timing    sidecar.Timing

	environ environ
	machine machine
	root    bool
	sockets func() error // why the sockets of a crashed Envoy cannot be kept, as a sentence

	confines func() process.Kernel // what the kernel has to confine proxies with
	config   atomic.Pointer[settings]
	envoy    atomic.Pointer[envoyProbe] // nil until there was a fitting one

	nodeEnvoy atomic.Pointer[nodeEnvoy]

	scrapePorts scrapePorts
}

// settings is what Nomad's agent tells the plugin.
type settings struct {
	PluginConfig
	compute cpustats.Compute
}

// New makes the plugin; ctx ends it.
func New(ctx context.Context, log hclog.Logger) *Plugin {
	// The agent's own token is for nobody else, and Consul's client library
	// would take it for any request that has none.
	for _, name := range []string{api.HTTPTokenEnvName, api.HTTPTokenFileEnvName} {
		_ = os.Unsetenv(name)
	}
	p := &Plugin{
		ctx:     ctx,
		log:     log.Named(Name),
		events:  eventer.NewEventer(ctx, log),
		tasks:   newTasks(),
		timing:  sidecar.Usual(),
		sockets: process.CanTakeSockets,

		confines: process.Confines,
		environ:  readEnviron(os.Getenv),
		machine:  thisMachine(),
		root:     os.Geteuid() == 0,
	}
	p.pool.Complain = func(err error) { p.log.Warn("serves on", "error", err) }
	p.config.Store(&settings{})
	return p
}

// PluginInfo implements base.BasePlugin.
func (p *Plugin) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{
		Type:              base.PluginTypeDriver,
		PluginApiVersions: []string{drivers.ApiVersion010},
		PluginVersion:     Version,
		Name:              Name,
	}, nil
}

// ConfigSchema implements base.BasePlugin.
func (p *Plugin) ConfigSchema() (*hclspec.Spec, error) { return pluginConfigSpec(), nil }

// SetConfig implements base.BasePlugin. A mistake in the plugin's config is
// found here, so that the agent does not start with it.
func (p *Plugin) SetConfig(c *base.Config) error {
	next := &settings{compute: c.AgentConfig.Compute()}
	if len(c.PluginConfig) > 0 {
		if err := base.MsgPackDecode(c.PluginConfig, &next.PluginConfig); err != nil {
			return fmt.Errorf("decode the plugin's config: %w", err)
		}
	}
	if err := next.validate(); err != nil {
		return fmt.Errorf("plugin config: %w", err)
	}
	p.config.Store(next)
	return nil
}

// TaskConfigSchema implements drivers.DriverPlugin.
func (p *Plugin) TaskConfigSchema() (*hclspec.Spec, error) { return taskConfigSpec(), nil }

// Capabilities implements drivers.DriverPlugin.
func (p *Plugin) Capabilities() (*drivers.Capabilities, error) {
	return &drivers.Capabilities{
		SendSignals: true,
		Exec:        true,
		FSIsolation: fsisolation.None,
		NetIsolationModes: []drivers.NetIsolationMode{
			drivers.NetIsolationModeHost,
			drivers.NetIsolationModeGroup, // for Nomad's own Connect
		},
		MountConfigs:         drivers.MountConfigSupportNone,
		DynamicWorkloadUsers: p.root,
	}, nil
}

// node is what tasks take from the node.
func (p *Plugin) node() node {
	settings := p.config.Load()
	return node{config: settings.PluginConfig, environ: p.environ, machine: p.machine, version: Version, root: p.root, compute: settings.compute}
}
