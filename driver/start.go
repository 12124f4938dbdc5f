package driver

import (
	"context"
	"fmt"
	"time"

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
	life, err := x.start(p.ctx)
	if err != nil {
		x.giveUp(p.ctx)
		return nil, err
	}
	t := &task{config: config, sidecar: life, proxy: x}
	h, err := newHandle(config, x.spec, life.State())
	if err != nil {
		if destroyErr := t.destroy(p.ctx); destroyErr != nil {
			p.tasks.leave(p.ctx, t)
		}
		return nil, fmt.Errorf("encode the task's state: %w", err)
	}
	p.tasks.put(config.ID, t)
	return h, nil
}

// start begins the life of a proxy.
func (x *proxy) start(ctx context.Context) (*sidecar.Sidecar, error) {
	host := x.host()
	host.StartBy = time.Now().Add(x.spec.Life.ReadyTimeout)
	if err := x.beginTokens(ctx, host.StartBy); err != nil {
		return nil, err
	}
	x.spec.TokenSource, x.spec.Login = x.tokens.source()
	x.stamp, _ = x.look() // what is amiss the start itself will say
	life, err := sidecar.Start(ctx, x.spec.Life, x.member, x.program, host)
	x.tokens.running.Store(err == nil)
	return life, err
}

func (x *proxy) beginTokens(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	return x.tokens.begin(ctx)
}

// giveUp ends what did not start. A token that Consul does not take back now is given back
// beside, since Nomad may start the task again at once.
func (x *proxy) giveUp(ctx context.Context) {
	err := x.end(ctx, "")
	if err == nil {
		return
	}
	x.plugin.log.Warn("could not log out of Consul after a start that failed, will try again", "task_id", x.config.ID, "error", err)
	go func() {
		defer x.client.Close()
		x.tokens.giveBack(ctx, x.tokens.now.Load())
	}()
}

// end gives back what the proxy has of others. It may be repeated when it fails.
func (x *proxy) end(ctx context.Context, proxyID string) error {
	x.plugin.scrapePorts.release(x.config.ID)
	if err := x.tokens.release(ctx, proxyID); err != nil {
		return err
	}
	x.client.Close()
	return nil
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
