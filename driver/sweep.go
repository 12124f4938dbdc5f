package driver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// settled is how long no task must have begun before what nobody looks after
// counts as left behind: Nomad gives its tasks back one by one.
const settled = 30 * time.Second

// sweep removes what was left behind on this machine and nobody looks after:
// registrations of an earlier boot, at the first contact to Consul already; and those
// of this Nomad client with the Envoys of their tasks, as when it stopped while Consul
// was away or when the plugin was killed while it started one. The client is that of
// the latest task.
func (p *Plugin) sweep(ctx context.Context, settings consul.Config) error {
	if p.machine.host == "" {
		return nil
	}
	settings.Token = settings.AgentToken
	agent, err := p.pool.Client(settings, nil)
	if err != nil {
		return err
	}
	defer agent.Close()
	registered, err := agent.Proxies(ctx, metaHost, p.machine.host)
	if err != nil {
		return err
	}
	client := p.tasks.client()
	var errs []error
	for _, svc := range registered {
		if l := leftoverOf(svc); l.earlier(p.machine.boot) || client.left(l) {
			errs = append(errs, p.tasks.unlessLookedAfter(l.at, func() error { return p.remove(ctx, agent, l, client) }))
		}
	}
	return errors.Join(errs...)
}

// leftover is a registration that may have been left behind.
type leftover struct {
	proxyID string
	nodeID  string
	boot    string // in which it was registered; empty when that was not known
	at      place
}

func leftoverOf(svc *api.AgentService) leftover {
	return leftover{proxyID: svc.ID, nodeID: svc.Meta[metaNodeID], boot: mesh.BootOf(svc.Meta), at: place{svc.Meta[metaAllocID], svc.Meta[metaTask]}}
}

// earlier tells what is of another boot than this one: its processes ended with it.
func (l leftover) earlier(boot string) bool { return l.boot != "" && boot != "" && l.boot != boot }

// left tells whether what nobody looks after is this client's, and left behind.
func (s site) left(l leftover) bool {
	return s.nodeID != "" && s.nodeID == l.nodeID && time.Since(s.at) >= settled && l.at.valid()
}

// remove removes a leftover, and what still runs of it in this boot. It says in Consul
// where that is, and others can write there: that alone ends nothing.
func (p *Plugin) remove(ctx context.Context, agent *consul.Client, l leftover, client site) error {
	if !l.earlier(p.machine.boot) {
		root := filepath.Join(client.allocDir, l.at.allocID)
		dir := filepath.Join(root, l.at.task, "secrets", runDirName)
		if err := p.clear(ctx, root, dir); err != nil {
			return fmt.Errorf("clear %s: %w", dir, err)
		}
	}
	if _, err := agent.Deregister(ctx, l.proxyID); err != nil {
		return err
	}
	p.log.Info("removed a sidecar that was left behind", "proxy", l.proxyID, "alloc_id", l.at.allocID, "task", l.at.task, "of_an_earlier_boot", l.earlier(p.machine.boot))
	return nil
}

// clear ends what runs in a run directory below that of an allocation, and removes what it
// had. In one that is gone, or that nobody has signed, as earlier versions of the driver
// did not, it ends our Envoys only, and leaves the directory to Nomad.
func (p *Plugin) clear(ctx context.Context, root, dir string) error {
	run, err := sidecar.FindRun(root, dir, p.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return run.EndLeft(ctx, isEnvoy)
	case errors.Is(err, sidecar.ErrForeign):
		p.log.Info("a sidecar was left behind in a directory without the driver's signature, which stays", "dir", dir)
		return errors.Join(run.EndLeft(ctx, isEnvoy), envoy.RemoveSharedMemory(dir, run.User))
	case err != nil:
		return err
	}
	if err := run.EndLeft(ctx, sidecar.Anything); err != nil {
		return err
	}
	return errors.Join(envoy.RemoveSharedMemory(dir, run.User), run.RemoveDir())
}

// isEnvoy knows one that this driver has started by its command line.
func isEnvoy(args []string) bool {
	_, ok := envoy.EpochOf(args)
	return ok
}

// valid refuses what would lead to another directory: others can write to Consul.
func (at place) valid() bool {
	return at.allocID != "." && at.task != "." && filepath.IsLocal(at.allocID) && filepath.IsLocal(at.task) &&
		filepath.Base(at.allocID) == at.allocID && filepath.Base(at.task) == at.task
}
