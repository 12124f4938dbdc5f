package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
)

// The loopback addresses that stand for an agent's own machine.
const (
	loopback4 = "127.0.0.1"
	loopback6 = "::1"
)

const defaultAdminPort = 19000

// answers are what Consul knows.
type answers struct {
	proxy        *api.AgentService
	accessLogs   *api.AccessLogsConfig
	self         consul.Self
	selfHidden   bool // the token may not read it
	tokenMissing bool
}

// fetch asks Consul for everything at once. A gateway that is to be registered
// is, before it is asked for.
func (o *bootstrapOptions) fetch(ctx context.Context, c *consul.Client) (answers, error) {
	var a answers
	if o.register {
		if err := o.registerGateway(ctx, c, &a); err != nil {
			return a, err
		}
	}
	// All are awaited, so that of two errors it is always the same one that is told.
	var proxyErr, selfErr, logsErr error
	var group sync.WaitGroup
	group.Go(func() { a.proxy, proxyErr = o.findProxy(ctx, c) })
	group.Go(func() { a.accessLogs, logsErr = c.AccessLogs(ctx) })
	if !o.register && o.needsSelf() {
		group.Go(func() { selfErr = a.readSelf(ctx, c) })
	}
	if o.consul.Token == "" {
		group.Go(func() { a.tokenMissing = c.TokenUnknown(ctx) })
	}
	group.Wait()
	return a, cmp.Or(proxyErr, selfErr, logsErr)
}

// needsSelf tells whether the agent's own settings decide anything.
func (o *bootstrapOptions) needsSelf() bool {
	if o.compat == compat121 {
		return o.grpcAddr == ""
	}
	return o.grpcAddr == "" || o.adminBind == "" || o.register
}

func (a *answers) readSelf(ctx context.Context, c *consul.Client) (err error) {
	a.self, err = c.Self(ctx)
	if a.selfHidden = errors.Is(err, consul.ErrForbidden); a.selfHidden {
		return nil
	}
	return err
}

func (o *bootstrapOptions) registerGateway(ctx context.Context, c *consul.Client, a *answers) error {
	if o.needsSelf() {
		if err := a.readSelf(ctx, c); err != nil {
			return err
		}
	}
	reg, err := o.registration(cmp.Or(o.proxyID, o.service), o.loopback(*a))
	if err != nil {
		return err
	}
	return c.Register(ctx, reg)
}

// findProxy reads the registration of the proxy that the flags name.
func (o *bootstrapOptions) findProxy(ctx context.Context, c *consul.Client) (*api.AgentService, error) {
	switch {
	case o.nodeName != "":
		proxy, err := c.CatalogService(ctx, o.nodeName, o.proxyID)
		return proxy, orMissing(proxy, err, fmt.Sprintf("the catalog has no proxy with the ID %q on node %q", o.proxyID, o.nodeName))
	case o.proxyID != "" || o.register:
		id := cmp.Or(o.proxyID, o.service)
		proxy, err := c.Service(ctx, id)
		return proxy, orMissing(proxy, err, fmt.Sprintf("no proxy with the ID %q is registered with the Consul agent at %s", id, c.Address()))
	case o.sidecarFor != "":
		proxies, err := c.SidecarsFor(ctx, o.sidecarFor)
		return only(proxies, err, fmt.Sprintf("sidecar of %q", o.sidecarFor))
	}
	gateways, err := c.Gateways(ctx, o.kind)
	return only(gateways, err, string(o.kind))
}

func orMissing(proxy *api.AgentService, err error, sentence string) error {
	if err == nil && proxy == nil {
		return errors.New(sentence)
	}
	return err
}

// only gives the one registration that there is to be of a kind.
func only(found []*api.AgentService, err error, what string) (*api.AgentService, error) {
	if err != nil {
		return nil, err
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no %s is registered with this agent; with ACLs, the token must be allowed to see it", what)
	}
	ids := make([]string, 0, len(found))
	for _, svc := range found {
		ids = append(ids, svc.ID)
	}
	return nil, fmt.Errorf("more than one %s is registered with this agent; say with -proxy-id which one is meant: %s", what, strings.Join(ids, ", "))
}

// loopback is the address of the agent's machine for those on it: since 1.22
// the consul command takes IPv6 when the agent is bound to an address of it.
func (o *bootstrapOptions) loopback(a answers) string {
	bound, err := netip.ParseAddr(a.self.Config.BindAddr)
	if o.compat != compat121 && err == nil && !bound.Unmap().Is4() {
		return loopback6
	}
	return loopback4
}

// adminAPI is where Envoy's admin API is to listen.
func (o *bootstrapOptions) adminAPI(a answers) bootstrap.Admin {
	if o.admin.IsValid() {
		return bootstrap.Admin{AddrPort: o.admin}
	}
	return bootstrap.Admin{AddrPort: netip.AddrPortFrom(netip.MustParseAddr(o.loopback(a)), defaultAdminPort)}
}

// xds is where Envoy finds the Consul agent: the gRPC flags' word, else the
// agent's, which prefers TLS.
func (o *bootstrapOptions) xds(a answers) (agent bootstrap.Agent, guessed bool, err error) {
	if o.agent != nil {
		return *o.agent, false, nil
	}
	address, guessed, err := o.discover(a)
	if err != nil {
		return agent, guessed, err
	}
	agent, err = o.agentAt(address)
	return agent, guessed, err
}

// agentAt reads the address of a gRPC endpoint, and the CA to verify it with.
func (o *bootstrapOptions) agentAt(address string) (bootstrap.Agent, error) {
	agent, err := consul.ParseGRPCAddress(address)
	if err != nil {
		return agent, fmt.Errorf("-grpc-addr: %w", err)
	}
	file, dir := o.grpcCAFile, o.grpcCAPath
	agent.TLS = agent.TLS || (agent.Socket != "" && (file != "" || dir != ""))
	if agent.TLS {
		file, dir = cmp.Or(file, o.consul.TLSConfig.CAFile), cmp.Or(dir, o.consul.TLSConfig.CAPath)
	}
	agent.CAPEM, err = consul.ReadCA(file, dir)
	agent.NoCA = o.compat == compat121
	return agent, err
}

// discover takes the agent's word for where it serves gRPC, and the usual port
// when it gives none.
func (o *bootstrapOptions) discover(a answers) (address string, guessed bool, err error) {
	port := consul.UsualGRPCPort
	if !a.selfHidden {
		if port, err = a.self.GRPCPort(true); err != nil {
			return "", false, fmt.Errorf("the Consul agent %w", err)
		}
	}
	return port.At(o.loopback(a)), port.Guessed, nil
}
