package driver

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
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
)

// Fingerprint implements drivers.DriverPlugin.
func (p *Plugin) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	out := make(chan *drivers.Fingerprint)
	go p.fingerprint(ctx, out)
	return out, nil
}

func (p *Plugin) fingerprint(ctx context.Context, out chan<- *drivers.Fingerprint) {
	defer close(out)
	var envoy envoyProbe
	for {
		print := p.look(ctx, &envoy)
		select {
		case out <- print:
		case <-ctx.Done():
			return
		case <-p.ctx.Done():
			return
		}
		wait := unhealthyInterval
		if print.Health == drivers.HealthStateHealthy {
			wait = healthyInterval
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

// look takes one fingerprint. Without Envoy the driver is undetected, without
// Consul unhealthy; the description says what to do.
func (p *Plugin) look(ctx context.Context, envoy *envoyProbe) *drivers.Fingerprint {
	config := p.config.Load().PluginConfig
	settings, err := envoySettings(config.Envoy, nil)
	if err == nil {
		err = envoy.probe(ctx, settings.Path, somebody(p.root))
	}
	if err != nil {
		return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: err.Error()}
	}
	print := &drivers.Fingerprint{
		Attributes: map[string]*pstructs.Attribute{
			attrDriver:       pstructs.NewBoolAttribute(true),
			attrVersion:      pstructs.NewStringAttribute(Version),
			attrEnvoyVersion: pstructs.NewStringAttribute(envoy.version),
		},
		Health:            drivers.HealthStateHealthy,
		HealthDescription: drivers.DriverHealthy,
	}
	info, err := p.consulInfo(ctx, config)
	if info.Version != "" {
		print.Attributes[attrConsulVersion] = pstructs.NewStringAttribute(info.Version)
	}
	if err != nil {
		print.Health, print.HealthDescription = drivers.HealthStateUnhealthy, err.Error()
	}
	return print
}

func (p *Plugin) consulInfo(ctx context.Context, config PluginConfig) (sidecar.AgentInfo, error) {
	settings := consulSettings(p.environ, config.Consul, nil)
	var err error
	if settings.AgentToken, err = operatorToken(config); err != nil {
		return sidecar.AgentInfo{}, err
	}
	consul, err := sidecar.NewConsul(settings)
	if err != nil {
		return sidecar.AgentInfo{}, err
	}
	defer consul.Close()
	return consul.Info(ctx)
}

// somebody is a user without any rights of its own, as those are that Envoy
// runs as: a binary that only root may execute is of no use.
func somebody(root bool) process.User {
	return process.User{Name: "nobody", UID: 65534, GID: 65534, Switch: root}
}

// envoyProbe remembers the version of a binary as long as the file is the same.
type envoyProbe struct {
	path    string
	info    os.FileInfo
	version string
}

func (e *envoyProbe) probe(ctx context.Context, path string, user process.User) error {
	info, err := os.Stat(path)
	if err == nil && e.info != nil && path == e.path && os.SameFile(info, e.info) &&
		info.ModTime().Equal(e.info.ModTime()) && info.Size() == e.info.Size() {
		return nil
	}
	version, err := sidecar.EnvoyVersion(ctx, path, user)
	if err != nil {
		return fmt.Errorf("look for Envoy: %w", err)
	}
	*e = envoyProbe{path: path, info: info, version: version}
	return nil
}
