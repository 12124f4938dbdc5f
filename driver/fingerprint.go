package driver

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
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
		print := p.look(ctx)
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
func (p *Plugin) look(ctx context.Context) *drivers.Fingerprint {
	config := p.config.Load().PluginConfig
	version := ""
	settings, err := envoySettings(config.Envoy, nil, 1)
	if err == nil {
		version, err = p.probeEnvoy(ctx, settings.Path)
	}
	if err != nil {
		return &drivers.Fingerprint{Health: drivers.HealthStateUndetected, HealthDescription: err.Error()}
	}
	print := &drivers.Fingerprint{
		Attributes: map[string]*pstructs.Attribute{
			attrDriver:       pstructs.NewBoolAttribute(true),
			attrVersion:      pstructs.NewStringAttribute(Version),
			attrEnvoyVersion: pstructs.NewStringAttribute(version),
		},
		Health:            drivers.HealthStateHealthy,
		HealthDescription: drivers.DriverHealthy,
	}
	info, err := p.consulInfo(ctx, config)
	if info.Version != "" {
		print.Attributes[attrConsulVersion] = pstructs.NewStringAttribute(info.Version)
	}
	switch {
	case err != nil:
		print.Health, print.HealthDescription = drivers.HealthStateUnhealthy, err.Error()
	case info.Restart != "":
		print.HealthDescription += "; " + info.Restart
	}
	return print
}

func (p *Plugin) consulInfo(ctx context.Context, config PluginConfig) (consul.AgentInfo, error) {
	settings := consulSettings(p.environ, config.Consul, nil)
	var err error
	if settings.AgentToken, err = operatorToken(config); err != nil {
		return consul.AgentInfo{}, err
	}
	client, err := consul.New(settings)
	if err != nil {
		return consul.AgentInfo{}, err
	}
	defer client.Close()
	info, err := p.agents.Refresh(ctx, client)
	if err == nil {
		p.follow(settings, info.Node)
		if err := p.sweep(ctx, settings); err != nil {
			p.log.Warn("could not remove what was left behind", "error", err)
		}
	}
	return info, err
}

// somebody is a user without any rights of its own, as those are that Envoy
// runs as: a binary that only root may execute is of no use.
func somebody(root bool) process.User {
	return process.User{Name: "nobody", UID: 65534, GID: 65534, Switch: root}
}

// envoyProbe is what was learnt of a binary. It holds as long as the file is the
// same.
type envoyProbe struct {
	path    string
	info    os.FileInfo
	version string
}

func (e *envoyProbe) holds(path string) bool {
	if e == nil || path != e.path {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, e.info) && info.ModTime().Equal(e.info.ModTime()) && info.Size() == e.info.Size()
}

// probeEnvoy learns the version of the node's Envoy, once for every binary.
func (p *Plugin) probeEnvoy(ctx context.Context, path string) (string, error) {
	if known := p.envoy.Load(); known.holds(path) {
		return known.version, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("look for Envoy: %w", err)
	}
	version, err := envoy.Binary{Path: path, User: somebody(p.root)}.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("look for Envoy: %w", err)
	}
	p.envoy.Store(&envoyProbe{path: path, info: info, version: version})
	return version, nil
}
