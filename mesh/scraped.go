package mesh

import (
	"net/netip"
	"strconv"

	"nomad-driver-connect/sidecar"
)

// The keys of a registration's Meta at which Prometheus' service discovery finds where an
// Envoy is scraped, when the job does not say that itself. The first of them is what jobs
// for Nomad's own Connect have, the second what Consul's metrics have.
const (
	metaMetricsPort    = "envoy_metrics_port"
	metaMetricsAddress = "metrics-address"

	metaStatsPort = "envoy_stats_port"
)

// The keys of a proxy's config that have it scraped.
const (
	prometheusKey = "envoy_prometheus_bind_addr"
	statsKey      = "envoy_stats_bind_addr"
)

// scraped is where a proxy is scraped, at ports that were chosen for it alone. One that
// listens at every address is at that of its public listener.
func scraped(listeners []sidecar.StaticListener, public string) map[string]string {
	meta := map[string]string{}
	for _, l := range listeners {
		port := strconv.Itoa(l.Number)
		switch {
		case !l.Made:
		case l.Key == statsKey:
			meta[metaStatsPort] = port
		case l.Key == prometheusKey:
			meta[metaMetricsPort] = port
			if ip, err := netip.ParseAddr(l.Address); err == nil && ip.IsUnspecified() {
				l.Address = public
			}
			meta[metaMetricsAddress] = l.HostPort()
		}
	}
	return meta
}
