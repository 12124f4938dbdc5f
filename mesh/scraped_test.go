package mesh

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

func chosen(key, address string, port int) sidecar.StaticListener {
	return sidecar.StaticListener{Key: key, Made: true, Port: sidecar.Port{Address: address, Number: port}}
}

func TestScraped(t *testing.T) {
	t.Parallel()
	jobs := sidecar.StaticListener{Key: prometheusKey, Port: sidecar.Port{Address: "0.0.0.0", Number: 9102}}
	for name, tc := range map[string]struct {
		listeners []sidecar.StaticListener
		want      map[string]string
	}{
		"none":            {nil, map[string]string{}},
		"the job's own":   {[]sidecar.StaticListener{jobs}, map[string]string{}},
		"every address":   {[]sidecar.StaticListener{chosen(prometheusKey, "0.0.0.0", 61000)}, map[string]string{"envoy_metrics_port": "61000", "metrics-address": "10.0.0.1:61000"}},
		"an address":      {[]sidecar.StaticListener{chosen(prometheusKey, "::1", 61000)}, map[string]string{"envoy_metrics_port": "61000", "metrics-address": "[::1]:61000"}},
		"statistics, too": {[]sidecar.StaticListener{jobs, chosen(statsKey, "127.0.0.1", 61001)}, map[string]string{"envoy_stats_port": "61001"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.want, scraped(tc.listeners, "10.0.0.1"))
		})
	}
}

// Where a proxy is scraped is in its meta, whatever the service and the job say there, for
// as long as it is so.
func TestOwn_scraped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.joined()
	standing := opened
	standing.Listeners = []sidecar.StaticListener{chosen(prometheusKey, "0.0.0.0", 61000)}
	tell(t, o, standing)
	must.Eq(t, "61000", w.consul.Proxy().Meta["envoy_metrics_port"])
	registered := w.consul.Requests("PUT /v1/agent/service/register")
	tell(t, o, standing)
	must.Eq(t, registered, w.consul.Requests("PUT /v1/agent/service/register"), must.Sprint("it is there as it is"))

	standing.Listeners[0].Number = 61001
	tell(t, o, standing)
	must.Eq(t, "61001", w.consul.Proxy().Meta["envoy_metrics_port"])
	tell(t, o, opened)
	must.MapNotContainsKey(t, w.consul.Proxy().Meta, "envoy_metrics_port")
	must.MapNotContainsKey(t, w.consul.Proxy().Meta, "metrics-address")
}
