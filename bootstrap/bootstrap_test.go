package bootstrap

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"
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
			in.Proxy.Proxy.Config = map[string]any{keyPrometheusBind: "0.0.0.0:20200", keyStatsBind: "127.0.0.1:20201"}
		}},
		{"admin-socket-template", func(in *Inputs) {
			in.Admin = Admin{Socket: "admin.sock"}
			in.Proxy.Proxy.Config = map[string]any{keyTemplate: `{
				"admin": {"address": {"socket_address": {"address": "{{ .AdminBindAddress }}", "port_value": {{ .AdminBindPort }}}}},
				"static_resources": {"clusters": {"name": "{{ .ProxyCluster }}"}}}`}
		}},
		{"namespace", func(in *Inputs) { in.Proxy.Namespace, in.Proxy.Partition = "team", "eu" }},
		{"namespace-of-flags", func(in *Inputs) { in.Namespace, in.Partition = "team", "eu" }},
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
		{"TLS without CA", func(in *Inputs) { in.Agent.TLS = true }, "the Consul agent's gRPC endpoint https://127.0.0.1:8502 uses TLS, but no CA certificate is given to verify it with"},
		{"log type", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: "syslog"} }, `proxy-defaults AccessLogs: Type: "syslog" is unknown; it is one of stdout, stderr, file`},
		{"log format", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, JSONFormat: "[1]"} }, "proxy-defaults AccessLogs: JSONFormat: a JSON object is expected"},
		{"log file", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: api.FileLogSinkType} }, "proxy-defaults AccessLogs: Path: is missing"},
		{"text", func(in *Inputs) { in.Proxy.Datacenter = "dc\xff" }, "the datacenter: it is not UTF-8"},
		{"deep", func(in *Inputs) {
			in.Proxy.Proxy.Config = map[string]any{keyTracing: strings.Repeat(`{"http":`, 101) + strings.Repeat("}", 101)}
		}, `proxy config key "envoy_tracing_json": line 1, column 809: nested more than 100 levels deep`},
		{"vast template", func(in *Inputs) {
			in.Proxy.Proxy.Config = map[string]any{keyTemplate: `{{define "a"}}{{printf "%99999d" 1}}{{end}}` + strings.Repeat(`{{template "a"}}`, 99)}
		}, `it renders more than 4 MiB`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			tc.change(&in)
			_, err := Render(in)
			must.ErrorContains(t, err, tc.want)
		})
	}
}
