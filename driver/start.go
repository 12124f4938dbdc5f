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
	defer p.tasks.begin(config)()
	spec, err := p.specOf(config)
	if err != nil {
		return nil, nil, newStartError(err)
	}
	proxy, err := sidecar.Start(p.ctx, spec, p.host(config))
	if err != nil {
		return nil, nil, newStartError(err)
	}
	h, err := newHandle(config, proxy.Spec(), proxy.State())
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
	spec.Envoy.Version = p.knownVersion(spec.Envoy.Path)
	return spec, errors.Join(p.addTokens(&spec, config), addBootstrap(&spec, config))
}

// renew gives a sidecar's specification as the next generation of its Envoy is
// started with: with the tokens of now, and the node's Envoy of now when the
// job does not name one.
func (p *Plugin) renew(spec sidecar.Spec, task *drivers.TaskConfig) (sidecar.Spec, error) {
	if !spec.Envoy.Named {
		path, err := envoyPath(orZero(p.config.Load().Envoy).Path)
		if err != nil {
			return spec, err
		}
		spec.Envoy.Path = path
	}
	spec.Envoy.Version = p.knownVersion(spec.Envoy.Path)
	return spec, errors.Join(p.addTokens(&spec, task), addBootstrap(&spec, task))
}

// knownVersion is that of the Envoy at a path; empty when it must be asked.
func (p *Plugin) knownVersion(path string) string {
	if known := p.envoy.Load(); known.holds(path) {
		return known.version
	}
	return ""
}
