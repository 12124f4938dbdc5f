package envoy

import (
	"testing"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/sidecar"
)

// Of each port a sentence says which key has it, whose that is, and what to do.
func TestRendered_says(t *testing.T) {
	t.Parallel()
	r := &Rendered{Source: Source{Keys: []string{"Envoy_Stats_Bind_Addr", "envoy_bootstrap_json_tpl"}}}
	template := map[string]any{"envoy_bootstrap_json_tpl": "{}"}
	for _, tc := range []struct {
		name          string
		config        map[string]any
		label, wayOut string
		made          bool
	}{
		{"envoy_metrics_listener", nil, "Envoy_Stats_Bind_Addr of the job's proxy.config", `Envoy_Stats_Bind_Addr = "${NOMAD_ADDR_metrics}"`, false},
		{"envoy_prometheus_metrics_listener", nil, "envoy_prometheus_bind_addr, chosen for this sidecar", "the next start takes another", true},
		{"x", nil, "envoy_extra_static_listeners_json of Consul's config entry proxy-defaults", `config { envoy_extra_static_listeners_json = "" }`, false},
		{"x", template, "envoy_bootstrap_json_tpl of the job's proxy.config", "${NOMAD_PORT_extra} in envoy_bootstrap_json_tpl", false},
	} {
		got := r.says(tc.name, tc.config)
		must.Eq(t, tc.label, got.Label)
		must.StrContains(t, got.WayOut, tc.wayOut)
		must.Eq(t, tc.made, got.Made)
	}
}

// What only config entries expose is nowhere among the ports that the registration has.
func TestExposedByEntries(t *testing.T) {
	t.Parallel()
	in := bootstrap.Inputs{Proxy: &consul.AgentService{Proxy: &consul.AgentServiceConnectProxyConfig{Expose: consul.ExposeConfig{Paths: []consul.ExposePath{
		{Path: "/own", ListenerPort: 21001}, {Path: "/metrics", ListenerPort: 9102}, {Path: "/unset"},
	}}}}}
	at := sidecar.Place{Public: sidecar.Port{Address: "10.0.0.1", Number: 21000}, Ports: []sidecar.Port{{Address: "10.0.0.1", Number: 21001}}}
	found := exposedByEntries(in, at)
	must.Len(t, 1, found)
	must.Eq(t, `10.0.0.1:9102 (the path "/metrics" that Consul's config entries service-defaults or proxy-defaults expose)`, found[0].String())
}
