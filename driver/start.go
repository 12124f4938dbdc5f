package driver

import (
	"fmt"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// StartTask implements drivers.DriverPlugin. It returns when Envoy is ready,
// for Nomad starts the app then.
func (p *Plugin) StartTask(config *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	if _, err := p.tasks.get(config.ID); err == nil {
		return nil, nil, fmt.Errorf("task %s is running already", config.ID)
	}
	p.tasks.rememberUser(config)
	spec, err := p.specOf(config)
	if err != nil {
		return nil, nil, newStartError(err)
	}
	proxy, err := sidecar.Start(p.ctx, spec, p.emitter(config), p.log)
	if err != nil {
		return nil, nil, newStartError(err)
	}
	h, err := handle(config, proxy.State())
	if err != nil {
		return nil, nil, newStartError(fmt.Errorf("encode the task's state: %w", joinDestroy(p.ctx, proxy, err)))
	}
	p.tasks.put(config.ID, &task{config: config, sidecar: proxy})
	return h, nil, nil
}

// specOf is the one way from what Nomad says to a specification; starting and
// recovering both go it.
func (p *Plugin) specOf(config *drivers.TaskConfig) (sidecar.Spec, error) {
	var decoded TaskConfig
	if err := config.DecodeDriverConfig(&decoded); err != nil {
		return sidecar.Spec{}, sidecar.Invalidf("config", "does not decode: %v", err)
	}
	spec, err := taskSpec(config, decoded, p.node())
	if err != nil {
		return sidecar.Spec{}, err
	}
	spec.Consul.Token, err = taskToken(config, decoded.Consul)
	return spec, err
}
