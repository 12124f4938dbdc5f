package driver

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

func TestPluginConfig_metrics(t *testing.T) {
	t.Parallel()
	ports, err := PluginConfig{}.metricsPorts()
	must.NoError(t, err)
	must.Eq(t, usualMetricsPorts, ports)
	ports, err = PluginConfig{Metrics: &MetricsConfig{PortMin: 9000, PortMax: 9100}}.metricsPorts()
	must.NoError(t, err)
	must.Eq(t, portRange{9000, 9100}, ports)
	for _, wrong := range []MetricsConfig{{PortMin: 80}, {PortMax: 70000}, {PortMin: 9100, PortMax: 9000}, {PortMax: 60000}} {
		must.ErrorContains(t, PluginConfig{Metrics: &wrong}.validate(), "metrics.port_min: ")
	}
	for _, wrong := range []string{"eth0", "127.0.0.1:9102", "fe80::1%eth0"} {
		must.ErrorContains(t, PluginConfig{Metrics: &MetricsConfig{BindAddress: wrong}}.validate(), "metrics.bind_address: ")
	}
}

// Ports of others are left alone, whoever they are, and what a task has it keeps.
func TestScrapePorts(t *testing.T) {
	t.Parallel()
	const address = "127.0.0.1"
	l, err := net.Listen("tcp", address+":0")
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	first := portOf(l)
	among := portRange{first, first + 2}
	free := 0
	for port := first + 1; port <= among.last; port++ {
		if sidecar.CheckPortFree(t.Context(), "", sidecar.Port{Address: address, Number: port}, "") == nil {
			free++
		}
	}
	var s scrapePorts
	seen := map[int]bool{first: true}
	for i := range free {
		use := scrapeUse{fmt.Sprint(i), "key"}
		port, err := s.get(t.Context(), use, "place", address, among)
		must.NoError(t, err)
		must.False(t, seen[port])
		seen[port] = true
		again, err := s.get(t.Context(), use, "place", address, among)
		must.NoError(t, err)
		must.Eq(t, port, again)
	}
	_, err = s.get(t.Context(), scrapeUse{"late", "key"}, "place", address, among)
	must.ErrorContains(t, err, fmt.Sprintf("find a port for key: none from %d to %d is free at 127.0.0.1 (", among.first, among.last))
	must.ErrorContains(t, err, "metrics { port_min = … port_max = … }")
	s.release("0")
	_, err = s.get(t.Context(), scrapeUse{"late", "key"}, "place", address, among)
	must.NoError(t, err)
}

// An address that nobody can have is told of as that, and who has ended takes no port.
func TestScrapePorts_none(t *testing.T) {
	t.Parallel()
	var s scrapePorts
	_, err := s.get(t.Context(), scrapeUse{"a", "envoy_stats_bind_addr"}, "place", "192.0.2.1", usualMetricsPorts)
	must.ErrorContains(t, err, "find a port for envoy_stats_bind_addr: the address of port 192.0.2.1:")
	must.ErrorContains(t, err, "does not belong to this machine; correct the address, which is bind_address of the plugin's config")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.get(ended, scrapeUse{"a", "key"}, "place", "127.0.0.1", usualMetricsPorts)
	must.ErrorIs(t, err, context.Canceled)
	must.MapEmpty(t, s.of)
}

// Of two that were found with one port, which an earlier plugin had no objection to, the
// next start of one takes another.
func TestScrapePorts_found(t *testing.T) {
	t.Parallel()
	var s scrapePorts
	both := []sidecar.StaticListener{{Key: "key", Made: true, Port: sidecar.Port{Number: 9102}}}
	ports := map[int]bool{}
	for _, id := range []string{"a", "b"} {
		s.found(id, both)
	}
	for _, id := range []string{"a", "b"} {
		port, err := s.get(t.Context(), scrapeUse{id, "key"}, "place", "127.0.0.1", usualMetricsPorts)
		must.NoError(t, err)
		ports[port] = true
	}
	must.MapLen(t, 2, ports)
	must.MapContainsKey(t, ports, 9102)
	s.release("a")
	s.release("b")
	must.MapEmpty(t, s.taken)
}

// Who takes Envoy over, and has it found with a bootstrap of another making, gets no ports of
// others, nor all that there are.
func TestScrapePorts_impostor(t *testing.T) {
	t.Parallel()
	var s scrapePorts
	honest := scrapeUse{"honest", "key"}
	port, err := s.get(t.Context(), honest, "place", "127.0.0.1", usualMetricsPorts)
	must.NoError(t, err)
	var all []sidecar.StaticListener
	for number := usualMetricsPorts.first; number <= usualMetricsPorts.last; number++ {
		all = append(all, sidecar.StaticListener{Key: "key", Made: true, Port: sidecar.Port{Number: number}})
	}
	s.found("impostor", all)
	must.MapLen(t, 2, s.taken)
	again, err := s.get(t.Context(), honest, "place", "127.0.0.1", usualMetricsPorts)
	must.NoError(t, err)
	must.Eq(t, port, again)
}
