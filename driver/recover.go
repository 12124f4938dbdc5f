package driver

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// RecoverTask implements drivers.DriverPlugin. A proxy that ended in the meantime
// is recovered, too: as a task that has exited, so that Nomad's restart policy
// decides and the user reads how it ended. (Nomad also offers tasks that it stopped
// long ago; of those nothing is found, and it is told so.)
func (p *Plugin) RecoverTask(h *drivers.TaskHandle) error {
	if h == nil || h.Config == nil {
		return errors.New("recover a task: Nomad gives no handle")
	}
	if _, err := p.tasks.get(h.Config.ID); err == nil {
		return nil
	}
	defer p.tasks.begin(h.Config)()
	if err := p.recover(h); err != nil {
		return fmt.Errorf("recover task %s: %w", h.Config.ID, err)
	}
	return nil
}

func (p *Plugin) recover(h *drivers.TaskHandle) error {
	state, err := readHandle(h)
	if err != nil {
		return err
	}
	if was, now := state.State.Process.BootID, p.machine.boot; was != "" && now != "" && was != now {
		p.tasks.lose(h.Config, cmp.Or(state.Spec.TokenSource, state.Spec.Consul.TokenFile, usualToken))
		return errors.New("the machine was restarted since, and its Envoy ended with it; Nomad starts it anew")
	}
	// Without its token a sidecar can still be watched and stopped; that it could not be
	// read is said below.
	_ = p.addTokens(&state.Spec, h.Config)
	state.Spec.Life.Run.Env = envoyEnv(h.Config) // which is not kept twice
	x, err := p.wire(state.Spec, h.Config)
	if err != nil {
		return err
	}
	if err := x.tokens.attach(); err != nil {
		p.log.Warn("recovered a task without its Consul ACL token", "task_id", h.Config.ID, "error", err)
	}
	life, err := sidecar.Attach(p.ctx, state.Spec.Life, state.State, x.member, x.program, x.host())
	if err != nil {
		p.scrapePorts.release(h.Config.ID)
		x.client.Close()
		return err
	}
	p.tasks.put(h.Config.ID, &task{config: h.Config, sidecar: life, proxy: x})
	x.tokens.running.Store(true)
	return nil
}
