package driver

import (
	"context"
	"strconv"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

const (
	healthyInterval   = 30 * time.Second
	unhealthyInterval = 3 * time.Second // what was missing should be noticed soon when it appears
)

// Attributes of a node that has the driver.
const (
	attrDriver        = "driver.connect"
	attrVersion       = "driver.connect.version"
	attrEnvoyVersion  = "driver.connect.envoy.version"
	attrConsulVersion = "driver.connect.consul.version"
	attrKeepsSockets  = "driver.connect.keeps_sockets"
	attrAllow         = "driver.connect.allow." // before each of what is open to jobs
	attrConfine       = "driver.connect.confine"
	attrLandlock      = "driver.connect.confine.landlock"
	attrSeccomp       = "driver.connect.confine.seccomp"
)

// Fingerprint implements drivers.DriverPlugin.
func (p *Plugin) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	out := make(chan *drivers.Fingerprint)
	go p.fingerprint(ctx, out)
	return out, nil
}

func (p *Plugin) fingerprint(ctx context.Context, out chan<- *drivers.Fingerprint) {
	defer close(out)
	for {
		now := p.lookAtNode(ctx)
		select {
		case out <- now:
		case <-ctx.Done():
			return
		case <-p.ctx.Done():
			return
		}
		wait := unhealthyInterval
		if now.Health == drivers.HealthStateHealthy {
			wait = pace.Jitter(healthyInterval)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// lookAtNode takes one fingerprint. Without Envoy the driver is undetected, without
// Consul unhealthy; the description says what to do.
func (p *Plugin) lookAtNode(ctx context.Context) *drivers.Fingerprint {
	config := p.config.Load().PluginConfig
	version := ""
	settings, err := envoySettings(config.Envoy, nil, nodeDefaults)
	if err == nil {
		version, err = p.probeEnvoy(ctx, settings.Path)
	}
	if err != nil {
		return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: err.Error()}
	}
	now := &drivers.Fingerprint{
		Attributes: map[string]*pstructs.Attribute{
			attrDriver:       pstructs.NewBoolAttribute(true),
			attrVersion:      pstructs.NewStringAttribute(Version),
			attrEnvoyVersion: pstructs.NewStringAttribute(version),
		},
		Health:            drivers.HealthStateHealthy,
		HealthDescription: drivers.DriverHealthy,
	}
	p.addSockets(now)
	addAllowed(now, config)
	unmet := addConfinement(now, config.confine(), p.confines())
	info, err := p.consulInfo(ctx, config)
	if info.Version != "" {
		now.Attributes[attrConsulVersion] = pstructs.NewStringAttribute(info.Version)
	}
	switch {
	case unmet != nil:
		now.Health, now.HealthDescription = drivers.HealthStateUnhealthy, unmet.Error()
	case err != nil:
		now.Health, now.HealthDescription = drivers.HealthStateUnhealthy, err.Error()
	case info.Restart != "":
		now.HealthDescription += "; " + info.Restart
	}
	return now
}

// addSockets says whether a crash of an Envoy is noticed by its peers: it is not when
// the driver can keep its sockets.
func (p *Plugin) addSockets(now *drivers.Fingerprint) {
	err := p.sockets()
	now.Attributes[attrKeepsSockets] = pstructs.NewBoolAttribute(err == nil)
	if err != nil {
		now.HealthDescription += "; " + err.Error()
	}
}

// addAllowed says what the operator leaves to jobs.
func addAllowed(now *drivers.Fingerprint, config PluginConfig) {
	allowed, err := newAllow(config.Allow, machineAccounts)
	if err != nil {
		now.HealthDescription += "; plugin config: " + err.Error()
	}
	for name, value := range allowed.opened() {
		now.Attributes[attrAllow+name] = pstructs.NewStringAttribute(value)
	}
}

// addConfinement says what the node confines its proxies with. The error says that the
// operator wants more.
func addConfinement(now *drivers.Fingerprint, confine envoy.Confine, kernel process.Kernel) error {
	landlock := "none"
	if kernel.Landlock > 0 {
		landlock = strconv.Itoa(kernel.Landlock)
	}
	now.Attributes[attrConfine] = pstructs.NewStringAttribute(string(confine))
	now.Attributes[attrLandlock] = pstructs.NewStringAttribute(landlock)
	now.Attributes[attrSeccomp] = pstructs.NewBoolAttribute(kernel.Seccomp)
	remark, err := confine.Judge(kernel)
	if remark != "" {
		now.HealthDescription += "; " + remark
	}
	return err
}

func (p *Plugin) consulInfo(ctx context.Context, config PluginConfig) (consul.AgentInfo, error) {
	settings := consulSettings(p.environ, config.Consul, nil)
	var err error
	if settings.AgentToken, err = operatorToken(config); err != nil {
		return consul.AgentInfo{}, err
	}
	client, err := p.pool.Client(settings, nil)
	if err != nil {
		return consul.AgentInfo{}, err
	}
	defer client.Close()
	info, err := p.agents.Refresh(ctx, client)
	if err == nil {
		p.follow(settings, info.Node) //nolint:contextcheck // it goes on when this look is over
		p.tasks.forgetGone()
		if err := p.sweep(ctx, settings); err != nil {
			p.log.Warn("could not remove what was left behind", "error", err)
		}
	}
	return info, err
}
