package driver

import (
	"errors"
	"fmt"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// RecoverTask implements drivers.DriverPlugin. An Envoy that ended in the
// meantime is recovered, too: as a task that has exited, so that Nomad's
// restart policy decides and the user reads how it ended.
func (p *Plugin) RecoverTask(h *drivers.TaskHandle) error {
	if h == nil || h.Config == nil {
		return errors.New("recover a task: Nomad gives no handle")
	}
	if _, err := p.tasks.get(h.Config.ID); err == nil {
		return nil
	}
	p.tasks.rememberUser(h.Config)
	if h.Version != handleVersion {
		return fmt.Errorf("recover task %s: its state has version %d, this driver knows %d", h.Config.ID, h.Version, handleVersion)
	}
	var state sidecar.State
	if err := h.GetDriverState(&state); err != nil {
		return fmt.Errorf("recover task %s: decode its state: %w", h.Config.ID, err)
	}
	spec, err := p.specOf(h.Config)
	if err != nil {
		return fmt.Errorf("recover task %s: %w", h.Config.ID, err)
	}
	proxy, err := sidecar.Attach(p.ctx, spec, state, p.emitter(h.Config), p.log)
	if err != nil {
		return fmt.Errorf("recover task %s: %w", h.Config.ID, err)
	}
	p.tasks.put(h.Config.ID, &task{config: h.Config, sidecar: proxy})
	return nil
}
