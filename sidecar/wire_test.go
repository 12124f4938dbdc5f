package sidecar_test

import (
	"context"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// wire makes the objects of a life.
func (b *bench) wire() (sidecar.Member, sidecar.Program, sidecar.Host) {
	client, err := b.pool.Client(b.access, func() (consul.Tokens, error) { return b.now().tokens() })
	must.NoError(b.t, err)
	b.t.Cleanup(client.Close)
	b.client = client
	host := sidecar.Host{Emit: b.emit, Log: b.logger(), Timing: b.timing, Changed: b.looker(client), Spread: b.spread, AppListens: b.listens}
	if b.addresses != nil {
		host.Addresses = b.addresses
	}
	member := b.member(client)
	if b.wrap != nil {
		member = b.wrap(member)
	}
	program := b.program(client)
	if b.wrapProgram != nil {
		program = b.wrapProgram(program)
	}
	return member, program, host
}

// looker looks for changes, as the driver does.
func (b *bench) looker(client *consul.Client) func() (bool, error) {
	seen := client.Tokens()
	return func() (bool, error) {
		if changed := b.now().changed; changed != nil {
			return changed()
		}
		_, err := client.Renew()
		different := client.Tokens() != seen
		seen = client.Tokens()
		return different, err
	}
}

func (b *bench) member(client *consul.Client) sidecar.Member {
	around := mesh.Node{Consul: client, Watch: &b.watch, Emit: b.emit}
	switch {
	case b.own != nil:
		return mesh.NewOwn(*b.own, around)
	case b.nomads != nil:
		return mesh.NewNomads(*b.nomads, around)
	}
	return mesh.None{}
}

func (b *bench) program(client *consul.Client) sidecar.Program {
	world := envoy.World{
		Run: b.life.Run, Emit: b.emit,
		Settings: func() (envoy.Settings, error) { return b.now().settings() },
		Recalled: func(token string) {
			if tokens := client.Tokens(); tokens.Task == "" {
				tokens.Task = token
				client.SetTokens(tokens)
			}
		},
	}
	if b.now().bootstrap != nil {
		file := envoy.File{Path: externalPath, AllocDir: b.life.Run.Root, Read: func() ([]byte, error) { return b.now().bootstrap() }}
		return remembering{envoy.NewExternal(world, file), b}
	}
	return remembering{envoy.NewRendered(world, envoy.Source{
		Agent: func(ctx context.Context) (bootstrap.Agent, string, error) {
			info, err := b.agents.Info(ctx, client)
			return info.XDS, info.Note, err
		},
		Inputs: func(ctx context.Context, id string, in bootstrap.Inputs) (bootstrap.Inputs, error) {
			in.Token = client.Tokens().Task
			return client.Inputs(ctx, id, in)
		},
		Keys: envoy.Keys(b.own.Proxy.Config),
	}), b}
}
