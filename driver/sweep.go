package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// settled is how long no task must have begun before what nobody looks after
// counts as left behind: Nomad gives its tasks back one by one.
const settled = 30 * time.Second

// sweep removes what was left behind: registrations of this Nomad client whose
// task nobody looks after, as when it stopped while Consul was away, and Envoys
// of tasks that Nomad has forgotten, as when the plugin was killed while it
// started one. The client is that of the latest task.
func (p *Plugin) sweep(ctx context.Context, settings consul.Config) error {
	client, _ := p.tasks.known()
	if client.nodeID == "" || time.Since(client.at) < settled {
		return nil
	}
	settings.Token = settings.AgentToken
	agent, err := p.pool.Client(settings, nil)
	if err != nil {
		return err
	}
	defer agent.Close()
	registered, err := agent.Proxies(ctx, metaNodeID, client.nodeID)
	if err != nil {
		return err
	}
	var errs []error
	for _, svc := range registered {
		at := place{svc.Meta[metaAllocID], svc.Meta[metaTask]}
		if _, places := p.tasks.known(); places[at] || !at.valid() { // asked now: it may have just begun
			continue
		}
		dir := filepath.Join(client.allocDir, at.allocID, at.task, "secrets", runDirName)
		if err := p.clear(ctx, dir); err != nil {
			errs = append(errs, fmt.Errorf("clear %s: %w", dir, err))
			continue
		}
		if _, err := agent.Deregister(ctx, svc.ID); err != nil {
			errs = append(errs, err)
			continue
		}
		p.log.Info("removed a sidecar that was left behind", "proxy", svc.ID, "alloc_id", at.allocID, "task", at.task)
	}
	return errors.Join(errs...)
}

// clear ends what runs in a run directory, and removes what it had.
func (p *Plugin) clear(ctx context.Context, dir string) error {
	user := process.User{Switch: p.root}
	if info, err := os.Stat(dir); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			user.UID = stat.Uid
		}
	}
	if err := sidecar.EndWorkingIn(ctx, dir, user); err != nil {
		return err
	}
	return errors.Join(envoy.RemoveSharedMemory(dir, user), os.RemoveAll(dir))
}

// valid refuses what would lead to another directory: others can write to Consul.
func (at place) valid() bool {
	return at.allocID != "." && at.task != "." && filepath.IsLocal(at.allocID) && filepath.IsLocal(at.task) &&
		filepath.Base(at.allocID) == at.allocID && filepath.Base(at.task) == at.task
}
