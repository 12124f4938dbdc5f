package driver

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/sidecar"
)

// MetricsConfig says where the sidecars of a node are scraped when their jobs do not say it
// themselves. Each has a port of its own, and its registration's meta tells which.
type MetricsConfig struct {
	BindAddress string `codec:"bind_address"` // IP address; empty for where proxy-defaults says, if it does
	PortMin     int    `codec:"port_min"`
	PortMax     int    `codec:"port_max"`
}

// metricsSpec is the schema of MetricsConfig.
func metricsSpec() *hclspec.Spec {
	return hclspec.NewBlock("metrics", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"bind_address": hclspec.NewAttr("bind_address", "string", false),
		"port_min":     hclspec.NewAttr("port_min", "number", false),
		"port_max":     hclspec.NewAttr("port_max", "number", false),
	}))
}

// portRange are the ports from one to another.
type portRange struct{ first, last int }

// usualMetricsPorts are above those that Nomad gives to jobs by itself (20000 to 32000), and
// those that the kernel gives to connections (32768 to 60999).
var usualMetricsPorts = portRange{61000, 65535}

// metricsPorts are those that the driver chooses from.
func (c PluginConfig) metricsPorts() (portRange, error) {
	m := orZero(c.Metrics)
	r := portRange{cmp.Or(m.PortMin, usualMetricsPorts.first), cmp.Or(m.PortMax, usualMetricsPorts.last)}
	if r.first < 1024 || r.last > 65535 || r.first > r.last {
		return r, sidecar.Invalidf("metrics.port_min", "%d to port_max, %d, is no range of ports; both are from 1024 to 65535, and others than min_dynamic_port to max_dynamic_port of the client's config", r.first, r.last)
	}
	return r, nil
}

// metricsAddress is where they are, as the operator of the node has it; not valid when
// nothing is said.
func (c PluginConfig) metricsAddress() (netip.Addr, error) {
	text := orZero(c.Metrics).BindAddress
	if text == "" {
		return netip.Addr{}, nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return address, sidecar.Invalidf("metrics.bind_address", "%q is not an IP address such as \"0.0.0.0\"", text)
	}
	return address, nil
}

// scraped gives the config of a proxy with ports of its own where it is scraped, since
// proxy-defaults has one address for all sidecars of a node. The job's own config goes
// before; its empty text switches the listener off.
func (x *proxy) scraped(ctx context.Context, config map[string]any) (map[string]any, error) {
	own := x.spec.Own.Proxy.Config
	config = bootstrap.SwitchedOff(config, own)
	among, err := x.plugin.config.Load().metricsPorts()
	if err != nil {
		return nil, err
	}
	for _, key := range []string{bootstrap.KeyPrometheus, bootstrap.KeyStats} {
		address, asked := x.scrapedAt(config, key)
		if !asked || bootstrap.Says(own, key) {
			continue
		}
		use := scrapeUse{x.config.ID, key}
		port, err := x.plugin.scrapePorts.get(ctx, use, x.config.AllocID+x.config.Name, address.String(), among)
		if err != nil {
			return nil, err
		}
		config = bootstrap.BoundTo(config, key, netip.AddrPortFrom(address, uint16(port)))
	}
	return config, nil
}

// scrapedAt is the address that the node's operator, or else proxy-defaults, asks for.
func (x *proxy) scrapedAt(config map[string]any, key string) (at netip.Addr, asked bool) {
	if key == bootstrap.KeyPrometheus {
		if at, err := x.plugin.config.Load().metricsAddress(); err == nil && at.IsValid() {
			return at, true
		}
	}
	bound, asked := bootstrap.BindAddress(config, key)
	return bound.Addr(), asked
}
