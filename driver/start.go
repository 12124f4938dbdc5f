package driver

import (
	"errors"
	"fmt"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// StartTask implements drivers.DriverPlugin. It returns when the proxy is ready,
// for Nomad starts the app then.
func (p *Plugin) StartTask(config *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	if _, err := p.tasks.get(config.ID); err == nil {
		return nil, nil, fmt.Errorf("task %s is running already", config.ID)
	}
	defer p.tasks.begin(config)()
	h, err := p.start(config)
	if err != nil {
		return nil, nil, newStartError(err)
	}
	return h, nil, nil
}

func (p *Plugin) start(config *drivers.TaskConfig) (*drivers.TaskHandle, error) {
	spec, err := p.specOf(config)
	if err != nil {
		return nil, err
	}
	x, err := p.wire(spec, config)
	if err != nil {
		return nil, err
	}
	x.stamp, _ = x.look() // what is amiss the start itself will say
	life, err := sidecar.Start(p.ctx, spec.Life, x.member, x.program, x.host())
	if err != nil {
		x.client.Close()
		return nil, err
	}
	t := &task{config: config, sidecar: life, client: x.client}
	h, err := newHandle(config, spec, life.State())
	if err != nil {
		return nil, fmt.Errorf("encode the task's state: %w", errors.Join(err, t.destroy(p.ctx)))
	}
	p.tasks.put(config.ID, t)
	return h, nil
}

// specOf goes the whole way from what Nomad says to a specification.
func (p *Plugin) specOf(config *drivers.TaskConfig) (proxySpec, error) {
	var decoded TaskConfig
	if err := config.DecodeDriverConfig(&decoded); err != nil {
		return proxySpec{}, sidecar.Invalidf("config", "does not decode: %v", err)
	}
	spec, err := taskSpec(config, decoded, p.node())
	if err != nil {
		return proxySpec{}, err
	}
	if err := p.tasks.aloneAs(config); err != nil {
		return proxySpec{}, err
	}
	if err := p.addTokens(&spec, config); err != nil {
		return proxySpec{}, err
	}
	return spec, addMember(&spec, config)
}
