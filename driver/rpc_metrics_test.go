package driver

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// meta is a value of the meta of the sidecar's registration; empty when it is not there.
func (w *world) meta(key string) string {
	if proxy := w.consul.Proxy(); proxy != nil {
		return proxy.Meta[key]
	}
	return ""
}

// A sidecar has a metrics port of its own in the place of the one that proxy-defaults gives
// all of the node, keeps it as long as it lives, and its meta tells.
func TestRPC_metricsPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.consul.SetCentral(map[string]any{"envoy_prometheus_bind_addr": "127.0.0.1:9102", "envoy_stats_bind_addr": "0.0.0.0:9103"})
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	port := w.meta("envoy_metrics_port")
	number, err := strconv.Atoi(port)
	must.NoError(t, err)
	must.Between(t, usualMetricsPorts.first, number, usualMetricsPorts.last)
	must.Eq(t, "127.0.0.1:"+port, w.meta("metrics-address"))
	must.NotEq(t, "", w.meta("envoy_stats_port"))
	must.NotEq(t, port, w.meta("envoy_stats_port"))
	h.told(w.task, "it listens at 127.0.0.1:"+port+" (envoy_prometheus_bind_addr, chosen for this sidecar)")
	h.awaitAttribute(w.task, "phase", "serving")

	w.signalled(h)
	must.Eq(t, port, w.meta("envoy_metrics_port"))
	h = w.recovered(h, handle)
	must.Eq(t, port, w.meta("envoy_metrics_port"))
	must.NoError(t, h.SignalTask(w.task.ID, "SIGHUP"))
	h.told(w.task, "Hot restart 2 (SIGHUP)")
	must.Eq(t, port, w.meta("envoy_metrics_port"))
	must.NoError(t, h.StopTask(w.task.ID, 10*time.Second, "SIGTERM"))
	must.NoError(t, h.DestroyTask(w.task.ID, false))
	must.MapEmpty(t, h.plugin.scrapePorts.of)
	must.MapEmpty(t, h.plugin.scrapePorts.taken)
	w.clean()
}

// One that is told of metrics while it runs publishes the port when somebody listens there.
func TestRPC_metricsPort_later(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	must.NoError(t, h.configure(w.config()+"\nhot_restart {\n spread = \"never\"\n}"))
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	w.consul.SetCentral(map[string]any{"envoy_prometheus_bind_addr": "127.0.0.1:9102"})
	h.told(w.task, "No hot restart (its bootstrap has changed)")
	must.Eq(t, "", w.meta("envoy_metrics_port"))
	w.signalled(h)
	eventually(t, "the port is told", func() bool { return w.meta("envoy_metrics_port") != "" })
}

func TestRPC_metricsPort_asked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		plugin, task string
		central      map[string]any
		want         string // where it is scraped; empty for nowhere
	}{
		"nobody asks":             {"", "", nil, ""},
		"the plugin's config":     {"metrics {\n bind_address = \"127.0.0.9\"\n port_min = 61500\n port_max = 61600\n}", "", nil, "127.0.0.9:61"},
		"both":                    {"metrics {\n bind_address = \"127.0.0.9\"\n}", "", map[string]any{"envoy_prometheus_bind_addr": "0.0.0.0:9102"}, "127.0.0.9:6"},
		"only what ports":         {"metrics {\n port_min = 61500\n port_max = 61600\n}", "", nil, ""},
		"the job switches it off": {"metrics {\n bind_address = \"127.0.0.9\"\n}", `envoy_prometheus_bind_addr = ""`, map[string]any{"envoy_prometheus_bind_addr": "0.0.0.0:9102"}, ""},
		"the job says where":      {"", `envoy_prometheus_bind_addr = "127.0.0.9:61900"`, map[string]any{"envoy_prometheus_bind_addr": "0.0.0.0:9102"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake.WellBehaved)
			w.consul.SetCentral(tc.central)
			h := w.plugin()
			must.NoError(t, h.configure(w.config()+"\n"+tc.plugin))
			_, err := w.start(h, sidecarHCL("config {\n"+tc.task+"\n}"))
			must.NoError(t, err)
			h.awaitAttribute(w.task, "phase", "serving")
			if tc.want == "" {
				must.Eq(t, "", w.meta("metrics-address"))
				return
			}
			must.StrHasPrefix(t, tc.want, w.meta("metrics-address"))
		})
	}
}

// A port that all sidecars of a node are given is told of, with what gives it and what to
// do, before Envoy meets whoever has it.
func TestRPC_listenerIsTaken(t *testing.T) {
	t.Parallel()
	const extra = `{"name": "x", "address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}}}`
	for name, tc := range map[string]struct {
		central func(port int) map[string]any
		task    func(port int) string
		want    string
	}{
		"proxy-defaults": {central: func(port int) map[string]any {
			return map[string]any{"envoy_extra_static_listeners_json": fmt.Sprintf(extra, port)}
		}, want: `(envoy_extra_static_listeners_json of Consul's config entry proxy-defaults) is already in use by another process; the entry has every sidecar of the node listen there; leave it out of the entry, or out of this sidecar with config { envoy_extra_static_listeners_json = "" } in its proxy block`},
		"the job's metrics": {task: func(port int) string { return fmt.Sprintf("envoy_prometheus_bind_addr = \"127.0.0.1:%d\"", port) },
			want: `(envoy_prometheus_bind_addr of the job's proxy.config) is already in use by another process; give it a port that Nomad chooses: port "metrics" {} in the group's network block, and envoy_prometheus_bind_addr = "${NOMAD_ADDR_metrics}"`},
		"the job's statistics": {task: func(port int) string { return fmt.Sprintf("envoy_stats_bind_addr = \"0.0.0.0:%d\"", port) },
			want: `(envoy_stats_bind_addr of the job's proxy.config) is already in use by another process`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fake.WellBehaved)
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			must.NoError(t, err)
			defer func() { _ = taken.Close() }()
			config := ""
			if tc.central != nil {
				w.consul.SetCentral(tc.central(portOf(taken)))
			} else {
				config = "config {\n" + tc.task(portOf(taken)) + "\n}"
			}
			_, err = w.start(w.plugin(), sidecarHCL(config))
			must.ErrorContains(t, err, tc.want)
			must.ErrorContains(t, err, fmt.Sprint(portOf(taken)))
			w.clean()
		})
	}
}
