package bootstrap

import (
	"net/netip"
	"testing"

	"github.com/shoenig/test/must"
)

func TestStaticListeners(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, content string
		want          []StaticListener
	}{
		{"nothing", `{}`, nil},
		{"no bootstrap", `x`, nil},
		{"no listeners", `{"static_resources": {"clusters": []}}`, nil},
		{"a list", `{"static_resources": {"listeners": [{"name": "a", "address": {"socket_address": {"address": "0.0.0.0", "port_value": 9102}}}]}}`,
			[]StaticListener{{"a", netip.MustParseAddrPort("0.0.0.0:9102")}}},
		{"the only one, other spelling", `{"staticResources": {"listeners": {"name": "a", "address": {"socketAddress": {"address": "::", "portValue": 9102}}}}}`,
			[]StaticListener{{"a", netip.MustParseAddrPort("[::]:9102")}}},
		{"more addresses", `{"static_resources": {"listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
			"additional_addresses": [{"address": {"socket_address": {"address": "127.0.0.2", "port_value": 2}}}]}]}}`,
			[]StaticListener{{"", netip.MustParseAddrPort("127.0.0.1:1")}, {"", netip.MustParseAddrPort("127.0.0.2:2")}}},
		{"no TCP", `{"static_resources": {"listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1, "protocol": "UDP"}}}]}}`, nil},
		{"no port", `{"static_resources": {"listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}]}}`, nil},
		{"a pipe", `{"static_resources": {"listeners": [{"address": {"pipe": {"path": "x"}}}]}}`, nil},
		{"not bound", `{"static_resources": {"listeners": [{"bind_to_port": false, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}]}}`, nil},
		{"not bound, as a text", `{"static_resources": {"listeners": [{"bindToPort": "false", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}]}}`, nil},
		{"an address that may come later", `{"static_resources": {"listeners": [{"freebind": true, "address": {"socket_address": {"address": "192.0.2.1", "port_value": 1}}}]}}`, nil},
		{"an address of others", `{"static_resources": {"listeners": [{"transparent": true, "address": {"socket_address": {"address": "192.0.2.1", "port_value": 1}}}]}}`, nil},
		{"another network", `{"static_resources": {"listeners": [{"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1, "network_namespace_filepath": "/run/netns/x"}}}]}}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.want, StaticListeners([]byte(tc.content)))
		})
	}
}

// StaticListeners finds each listener of a rendered bootstrap again, and ListenerKey its key.
func TestStaticListeners_rendered(t *testing.T) {
	t.Parallel()
	config := map[string]any{
		"Envoy_Prometheus_Bind_Addr":        "127.0.0.1:9102",
		"envoy_stats_bind_addr":             "[::1]:9103",
		"envoy_extra_static_listeners_json": `{"name": "x", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 9104}}}`,
	}
	in := inputs()
	in.Proxy.Proxy.Config = config
	message, err := Render(in)
	must.NoError(t, err)
	content, err := Marshal(message)
	must.NoError(t, err)
	keys := map[string]string{}
	for _, l := range StaticListeners(content) {
		keys[l.At.String()] = ListenerKey(l.Name, config)
	}
	must.Eq(t, map[string]string{"127.0.0.1:9102": KeyPrometheus, "[::1]:9103": KeyStats, "127.0.0.1:9104": keyExtraListeners}, keys)
	must.Eq(t, keyTemplate, ListenerKey("x", map[string]any{keyTemplate: "{}"}))
}

func TestScraped(t *testing.T) {
	t.Parallel()
	merged := map[string]any{"Envoy_Prometheus_Bind_Addr": "0.0.0.0:9102", "protocol": "http"}
	must.Eq(t, map[string]any{"protocol": "http"}, SwitchedOff(merged, map[string]any{KeyPrometheus: "", "x": "", "protocol": "tcp"}))
	must.Eq(t, map[string]any{"protocol": "http", KeyPrometheus: "[::]:61000"}, BoundTo(merged, KeyPrometheus, netip.MustParseAddrPort("[::]:61000")))
	must.Eq(t, map[string]any{KeyStats: "[::]:61000"}, BoundTo(nil, KeyStats, netip.MustParseAddrPort("[::]:61000")))
	must.True(t, Says(merged, KeyPrometheus))
	must.True(t, Says(map[string]any{KeyStats: ""}, KeyStats))
	must.False(t, Says(merged, KeyStats))
	at, ok := BindAddress(merged, KeyPrometheus)
	must.True(t, ok)
	must.Eq(t, "0.0.0.0:9102", at.String())
	for _, none := range []any{nil, "", "x", "localhost:1", 7} {
		_, ok = BindAddress(map[string]any{KeyStats: none}, KeyStats)
		must.False(t, ok)
	}
}
