package envoy

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// listenersAnswer is what Envoy says of its listeners (1.36 and 1.40 alike), shortened.
const listenersAnswer = `{"listener_statuses": [
	{"name": "public_listener:[::]:20000", "local_address": {"socket_address": {"address": "::", "port_value": 20000}}},
	{"name": "db:127.0.0.1:9191", "local_address": {"socket_address": {"address": "127.0.0.1", "port_value": 9191}}},
	{"name": "envoy_prometheus_metrics_listener", "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 9102}}},
	{"name": "envoy_metrics_listener", "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 9103}}},
	{"name": "envoy_ready_listener", "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 9104}}},
	{"name": "cache:alloc/tmp/cache.sock", "local_address": {"pipe": {"path": "alloc/tmp/cache.sock"}}},
	{"name": "internal", "local_address": {"envoy_internal_address": {"server_listener_name": "internal"}}}
]}`

// Scrapers and balancers are no traffic.
func TestTrafficListeners(t *testing.T) {
	t.Parallel()
	must.Eq(t, []sidecar.Address{
		{Network: "tcp", Address: "[::]:20000"},
		{Network: "tcp", Address: "127.0.0.1:9191"},
		{Network: "unix", Address: "alloc/tmp/cache.sock"},
	}, trafficListeners([]byte(listenersAnswer)))
	must.Nil(t, trafficListeners([]byte("listener1::127.0.0.1:80")))
}

func TestOpenStat(t *testing.T) {
	t.Parallel()
	for listener, want := range map[string]string{
		"127.0.0.1:9191": "listener.127.0.0.1_9191.downstream_cx_active",
		"[::]:20000":     "listener.[__]_20000.downstream_cx_active",
		"/alloc/a.sock":  "listener./alloc/a.sock.downstream_cx_active",
		"alloc/a.sock":   "listener.alloc/a.sock.downstream_cx_active",
	} {
		must.Eq(t, want, openStat(listener))
	}
}
