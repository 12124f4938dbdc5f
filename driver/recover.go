package driver

import (
	"errors"
	"fmt"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// RecoverTask implements drivers.DriverPlugin. An Envoy that ended in the
// meantime is recovered, too: as a task that has exited, so that Nomad's
// restart policy decides and the user reads how it ended. (Nomad also offers
// tasks that it stopped long ago; of those nothing is found, and it is told so.)
func (p *Plugin) RecoverTask(h *drivers.TaskHandle) error {
	if h == nil || h.Config == nil {
		return errors.New("recover a task: Nomad gives no handle")
	}
	if _, err := p.tasks.get(h.Config.ID); err == nil {
		return nil
	}
	defer p.tasks.begin(h.Config)()
	state, err := readHandle(h)
	if err != nil {
		return fmt.Errorf("recover task %s: %w", h.Config.ID, err)
	}
	// Without its token a sidecar can still be watched and stopped.
	if err := p.addTokens(&state.Spec, h.Config); err != nil {
		p.log.Warn("recovered a task without its Consul ACL token", "task_id", h.Config.ID, "error", err)
	}
	state.Spec.Run.Env = envoyEnv(h.Config) // which is not kept twice
	proxy, err := sidecar.Attach(p.ctx, state.Spec, state.State, p.host(h.Config))
	if err != nil {
		return fmt.Errorf("recover task %s: %w", h.Config.ID, err)
	}
	p.tasks.put(h.Config.ID, &task{config: h.Config, sidecar: proxy})
	return nil
}
