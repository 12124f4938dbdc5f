package driver

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// proxy is a task's specification with the node around it: what a life is made of.
type proxy struct {
	spec    proxySpec
	plugin  *Plugin
	config  *drivers.TaskConfig
	client  *consul.Client
	tokens  *tokenKeeper
	member  sidecar.Member
	program sidecar.Program
	stamp   stamp // of the node's files, when they were last looked at
}

// wire makes objects of a specification. The client must be closed.
func (p *Plugin) wire(spec proxySpec, config *drivers.TaskConfig) (*proxy, error) {
	_ = hideLeftovers(config) // at once; what is amiss the first look says
	x := &proxy{spec: spec, plugin: p, config: config, tokens: p.newTokenKeeper(spec, config)}
	var err error
	if x.client, err = p.pool.Client(spec.Consul, x.tokens.read); err != nil {
		return nil, err
	}
	x.tokens.client = x.client
	x.client.KeptBy(x.tokens)
	x.member, x.program = x.newMember(), x.newProgram()
	return x, nil
}

func (x *proxy) newMember() sidecar.Member {
	node := mesh.Node{Consul: x.client, Watch: &x.plugin.watch.Watch, Emit: x.plugin.emitter(x.config), DataDir: x.dataDir}
	switch r := x.spec.roles; {
	case r.Own != nil:
		return mesh.NewOwn(*r.Own, node)
	case r.Nomads != nil:
		return mesh.NewNomads(*r.Nomads, node)
	}
	return mesh.None{}
}

func (x *proxy) newProgram() sidecar.Program {
	world := envoy.World{Run: x.spec.Life.Run, Emit: x.plugin.emitter(x.config), Settings: x.envoySettings, Log: x.logTail, LogAt: x.logCommand, Recalled: x.recallToken}
	if path := x.spec.External; path != "" {
		dirs := x.config.TaskDir()
		return envoy.NewExternal(world, envoy.File{Path: path, AllocDir: dirs.SharedAllocDir, LocalDir: dirs.LocalDir, SecretsDir: dirs.SecretsDir, Read: x.readExternal})
	}
	return envoy.NewRendered(world, envoy.Source{
		Agent:  x.agent,
		Inputs: x.inputs,
		Found:  func(found []sidecar.StaticListener) { x.plugin.scrapePorts.found(x.config.ID, found) },
		Keys:   envoy.Keys(x.spec.Own.Proxy.Config),
	})
}

// host is what the life has of the plugin.
func (x *proxy) host() sidecar.Host {
	return sidecar.Host{
		Emit:    x.plugin.emitter(x.config),
		Log:     x.plugin.log,
		Timing:  x.plugin.timing,
		Changed: x.changed,
		LogAt:   x.logCommand,

		Addresses:  &x.plugin.addresses,
		AppListens: func() []netip.AddrPort { return x.spec.Life.Run.Cgroup.SiblingListeners(x.config.AllocID + ".") },
		Spread: func() (within time.Duration, never bool) {
			within, never, _ = x.plugin.config.Load().spread() // SetConfig takes no other
			return within, never
		},
	}
}

// envoySettings are those of the next generation: with the node's Envoy of now
// when the job does not name one.
func (x *proxy) envoySettings() (envoy.Settings, error) {
	settings := x.spec.Envoy
	settings.Confine = x.plugin.config.Load().confine()
	if !settings.Named {
		path, err := envoyPath(orZero(x.plugin.config.Load().Envoy).Path)
		if err != nil {
			return settings, err
		}
		settings.Path = path
	}
	settings.Version = x.plugin.knownVersion(settings.Path)
	return settings, nil
}

// agent says where Envoy finds the Consul agent.
func (x *proxy) agent(ctx context.Context) (bootstrap.Agent, string, error) {
	info, err := x.plugin.agents.Info(ctx, x.client)
	var address *consul.AddressError
	if errors.As(err, &address) {
		err = sidecar.Invalidf("consul.grpc_address", "%v", err)
	}
	return info.XDS, info.Note, err
}

// dataDir is where the operator's agent keeps what it knows; empty when it does not
// tell. A job could name an agent that gives any other directory.
func (x *proxy) dataDir(ctx context.Context) (string, error) {
	if !x.plugin.isOperators(x.spec.Consul) {
		return "", nil
	}
	info, err := x.plugin.agents.Info(ctx, x.client)
	return info.DataDir, err
}

func (x *proxy) inputs(ctx context.Context, proxyID string, in bootstrap.Inputs) (bootstrap.Inputs, error) {
	in.Token = x.client.Tokens().Task
	in, err := x.client.Inputs(ctx, proxyID, in)
	if err != nil || in.Proxy.Proxy == nil { // the bootstrap will say that it is no proxy
		return in, err
	}
	in.Proxy.Proxy.Config, err = x.scraped(ctx, in.Proxy.Proxy.Config)
	return in, err
}

func (x *proxy) readExternal() ([]byte, error) {
	return readExternal(x.spec.External, x.config, x.spec.Life.Run.User)
}

// recallToken takes the token of an Envoy that was found again when it is found
// nowhere else any more: Nomad gave it in the environment, or it was logged in for.
func (x *proxy) recallToken(token string) {
	if tokens := x.client.Tokens(); tokens.Task == "" && token != "" {
		tokens.Task = token
		x.client.SetTokens(tokens)
		x.tokens.recall(token)
	}
}
