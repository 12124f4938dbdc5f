package driver

import (
	"errors"
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
	proxy, err := sidecar.Start(p.ctx, spec, p.host(config))
	if err != nil {
		return nil, nil, newStartError(err)
	}
	h, err := newHandle(config, spec, proxy.State())
	if err != nil {
		return nil, nil, newStartError(fmt.Errorf("encode the task's state: %w", errors.Join(err, proxy.Destroy(p.ctx))))
	}
	p.tasks.put(config.ID, &task{config: config, sidecar: proxy})
	return h, nil, nil
}

// specOf goes the whole way from what Nomad says to a specification.
func (p *Plugin) specOf(config *drivers.TaskConfig) (sidecar.Spec, error) {
	var decoded TaskConfig
	if err := config.DecodeDriverConfig(&decoded); err != nil {
		return sidecar.Spec{}, sidecar.Invalidf("config", "does not decode: %v", err)
	}
	spec, err := taskSpec(config, decoded, p.node())
	if err != nil {
		return sidecar.Spec{}, err
	}
	if known := p.envoy.Load(); known.holds(spec.Envoy.Path) {
		spec.Envoy.Version = known.version
	}
	err = p.addTokens(&spec, config)
	return spec, err
}
