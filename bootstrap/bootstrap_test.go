package bootstrap

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var update = flag.Bool("update", false, "write the golden files anew")

func inputs() Inputs {
	return Inputs{
		Proxy: &api.AgentService{
			ID: "web-1-sidecar-proxy", Service: "web-sidecar-proxy", Kind: api.ServiceKindConnectProxy, Datacenter: "dc1",
			Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: "web"},
		},
		Agent: Agent{AddrPort: netip.MustParseAddrPort("127.0.0.1:8502")},
		Admin: Admin{AddrPort: netip.MustParseAddrPort("127.0.0.1:19000")},
	}
}

// What the consul command can say is compared with it case by case (package
// parity); these are the inputs that only a sidecar of the driver or Consul
// Enterprise has.
func TestRender_golden(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Inputs)
	}{
		{"admin-socket", func(in *Inputs) {
			in.Admin = Admin{Socket: "admin.sock"}
			in.Prometheus.BackendPort = 20100
			in.Proxy.Proxy.Config = map[string]any{KeyPrometheus: "0.0.0.0:20200", KeyStats: "127.0.0.1:20201"}
		}},
		{"admin-socket-template", func(in *Inputs) {
			in.Admin = Admin{Socket: "admin.sock"}
			in.Proxy.Proxy.Config = map[string]any{keyTemplate: `{
				"admin": {"address": {"socket_address": {"address": "{{ .AdminBindAddress }}", "port_value": {{ .AdminBindPort }}}}},
				"static_resources": {"clusters": {"name": "{{ .ProxyCluster }}"}}}`}
		}},
		{"namespace", func(in *Inputs) { in.Proxy.Namespace, in.Proxy.Partition = "team", "eu" }},
		{"namespace-of-flags", func(in *Inputs) { in.Namespace, in.Partition = "team", "eu" }},
		{"memory-limit", func(in *Inputs) { in.MemoryLimit = 64 << 20 }},
		{"opaque", func(in *Inputs) {
			in.Proxy.Proxy.Config = map[string]any{keyExtraClusters: `{"name": "one", "transportSocket": {"name": "x", "typed_config": {
				"@type": "type.googleapis.com/new.to.Envoy", "anything": [1, {"@type": "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig"}, null], "value": 12345678}}}`}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			tc.change(&in)
			b, err := Render(in)
			must.NoError(t, err)
			golden(t, tc.name, b)
		})
	}
}

// golden compares messages, for protojson does not promise its bytes.
func golden(t *testing.T, name string, got *bootstrapv3.Bootstrap) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden.json")
	raw, err := Marshal(got)
	must.NoError(t, err)
	if *update {
		var pretty bytes.Buffer
		must.NoError(t, json.Indent(&pretty, raw, "", "  "))
		writeFile(t, file, append(pretty.Bytes(), '\n'))
	}
	var want, back bootstrapv3.Bootstrap
	must.NoError(t, readObject(string(readFile(t, file)), &want))
	must.NoError(t, readObject(string(raw), &back))
	must.True(t, proto.Equal(&want, got), must.Sprintf("%s differs; what was rendered:\n%s", file, raw))
	must.True(t, proto.Equal(&back, got), must.Sprint("the JSON is not the message"))
}

func TestRender_errors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Inputs)
		want   string
	}{
		{"no proxy", func(in *Inputs) { in.Proxy = nil }, "no proxy service given"},
		{"an ordinary service", func(in *Inputs) { in.Proxy.Proxy = nil }, `service "web-1-sidecar-proxy" is not a Connect proxy or gateway`},
		{"no agent", func(in *Inputs) { in.Agent = Agent{} }, "no gRPC address of the Consul agent given"},
		{"no admin", func(in *Inputs) { in.Admin = Admin{} }, "no address for Envoy's admin API given"},
		{"TLS without CA", func(in *Inputs) { in.Agent.TLS = true }, "the Consul agent's gRPC endpoint https://127.0.0.1:8502 uses TLS, but there is no CA certificate to verify it with"},
		{"log type", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: "syslog"} }, `proxy-defaults AccessLogs: Type: "syslog" is unknown; it is one of stdout, stderr, file`},
		{"log format", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, JSONFormat: "[1]"} }, "proxy-defaults AccessLogs: JSONFormat: a JSON object is expected"},
		{"log file", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: api.FileLogSinkType} }, "proxy-defaults AccessLogs: Path: is missing"},
		{"text", func(in *Inputs) { in.Proxy.Datacenter = "dc\xff" }, "the datacenter: it is not UTF-8"},
		{"deep", func(in *Inputs) {
			in.Proxy.Proxy.Config = map[string]any{keyTracing: strings.Repeat(`{"http":`, 101) + strings.Repeat("}", 101)}
		}, `proxy config key "envoy_tracing_json": line 1, column 809: nested more than 100 levels deep`},
		{"socket", func(in *Inputs) { in.Agent = Agent{Socket: strings.Repeat("x", 108)} }, "has 108 characters; it may have 107"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			tc.change(&in)
			_, err := Render(in)
			must.ErrorContains(t, err, tc.want)
		})
	}
}

// A template does no more than its length says, and its mistakes do not show
// the token.
func TestRender_templates(t *testing.T) {
	for _, tc := range []struct{ name, template, want string }{
		{"endless", "{{range 9223372036854775807}}{{end}}{}", "line 1: {{range}} is taken over .AdminAccessLogConfig only"},
		{"nested", `{{define "a"}}{{end}}{{template "a"}}{}`, "{{define}} and {{block}} are not taken"},
		{"recursive", `{{template "bootstrap"}}`, "line 1: {{template}} is not taken"},
		{"hidden", `{{if .NodeName}}{{else}}{{range .ProxyID}}{{end}}{{end}}{}`, "{{range}} is taken over .AdminAccessLogConfig only"},
		{"wide", `{{printf "%99999d" 1}}`, "printf: widths and precisions are taken up to 999"},
		{"wide by an argument", `{{printf "%*d" 99999 1}}`, "printf: widths and precisions are taken up to 999"},
		{"doubling", `{{$x := printf "%999d" 1}}` + strings.Repeat(`{{$x = print $x $x}}`, 30), "a text grows beyond 1 MiB"},
		{"vast", strings.Repeat(`{{printf "%999d" 1}}`, 2000), "it renders more than 1 MiB"},
		{"long", strings.Repeat(" ", 1<<20) + "{}", "it is longer than 1 MiB"},
		{"token as a name", `{"{{ .Token }}": 1}`, `has no field "<the ACL token>"`},
		{"token as a number", `{"admin": {"address": {"socket_address": {"port_value": "{{ .Token }}"}}}}`, "port_value: a whole number of 32 bits, not below 0, is expected, got a string"},
		{"token as a duration", `{"stats_flush_interval": "{{ .Token }}"}`, "line 1, column 26: it is no google.protobuf.Duration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			in.Token = "5ecre7"
			in.Proxy.Proxy.Config = map[string]any{keyTemplate: tc.template}
			_, err := Render(in)
			must.ErrorContains(t, err, tc.want)
			must.StrNotContains(t, err.Error(), in.Token)
		})
	}
}

// What Envoy's reader takes beyond Go's, and where mistakes are.
func TestReadObject(t *testing.T) {
	read := func(text string) (*clusterv3.Cluster, error) {
		c := &clusterv3.Cluster{}
		return c, readObject(text, c)
	}
	for text, want := range map[string]*clusterv3.Cluster{
		`{"name": "a", "type": "0"}`:                                   {Name: "a", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}},
		`{"name": "a", "ignore_health_on_host_removal": "true"}`:       {Name: "a", IgnoreHealthOnHostRemoval: true},
		`{"name": "a", "per_connection_buffer_limit_bytes": "5"}`:      {Name: "a", PerConnectionBufferLimitBytes: wrapperspb.UInt32(5)},
		`{"name": "a", "connect_timeout": null}`:                       {Name: "a"},
		`{"name": "a", "typed_extension_protocol_options": {"x": {}}}`: {Name: "a", TypedExtensionProtocolOptions: map[string]*anypb.Any{"x": {}}},
	} {
		got, err := read(text)
		must.NoError(t, err, must.Sprint(text))
		must.True(t, proto.Equal(want, got), must.Sprint(text, got))
	}
	for text, want := range map[string]string{
		"{\n \"connect_timeout\": \"1m\"}":                                 "line 2, column 21: it is no google.protobuf.Duration",
		`{"dns_refresh_rate": {}}`:                                         "line 1, column 22: it is no google.protobuf.Duration",
		`{"load_assignment": {"policy": {"overprovisioning_factor": -1}}}`: "line 1, column 60: it is no google.protobuf.UInt32Value",
		`{"health_checks": {"unhealthy_threshold": 3, "alt_port": "x"}}`:   "line 1, column 58",
		`{"lb_subset_config": {"locality_weight_aware": 1}}`:               "locality_weight_aware: a boolean is expected, got a number",
		`{"name": "x", "type": "9x"}`:                                      `"9x" is unknown`,
	} {
		_, err := read(text)
		must.ErrorContains(t, err, want, must.Sprint(text))
	}
	var names strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&names, `"k%d":1,`, i)
	}
	_, err := read(`{"a": {` + names.String() + `"z": 1}}`)
	must.ErrorContains(t, err, `has no field "a"`, must.Sprint("and soon"))
}
