package bootstrap

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/encoding/protojson"
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

// Golden files hold what the consul command prints for the same inputs (the
// end-to-end tests compare the two), as Envoy reads it.
func TestRender_golden(t *testing.T) {
	ca := string(readFile(t, "testdata/ca.pem"))
	for _, tc := range []struct {
		name   string
		change func(*Inputs)
	}{
		{"defaults", func(*Inputs) {}},
		{"token", func(in *Inputs) { in.Token = "c9a52720" }},
		{"agent-tls", func(in *Inputs) { in.Agent.TLS, in.Agent.CAPEM = true, ca }},
		{"agent-socket", func(in *Inputs) { in.Agent = Agent{Socket: "alloc/tmp/consul_grpc.sock"} }},
		{"admin-socket", func(in *Inputs) { in.Admin = Admin{Socket: "admin.sock"} }},
		{"namespace", func(in *Inputs) { in.Proxy.Namespace, in.Proxy.Partition = "team", "eu" }},
		{"stats-tags", func(in *Inputs) {
			in.Proxy.Proxy.Config = map[string]any{"Envoy_Stats_Tags": []any{"Nomad.Job=shop", "flag", "local_cluster=mine", 7.0, true}, "protocol": "http"}
		}},
		{"access-logs", func(in *Inputs) { in.AccessLogs = &api.AccessLogsConfig{Enabled: true} }},
		{"access-logs-stderr-json", func(in *Inputs) {
			in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: api.StdErrLogSinkType, JSONFormat: `{"a":"%PROTOCOL%","n":1}`, TextFormat: "unused"}
		}},
		{"access-logs-file-text", func(in *Inputs) {
			in.AccessLogs = &api.AccessLogsConfig{Enabled: true, Type: api.FileLogSinkType, Path: "/var/log/envoy", TextFormat: "%PROTOCOL%"}
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
	must.NoError(t, protojson.Unmarshal(readFile(t, file), &want))
	must.NoError(t, protojson.Unmarshal(raw, &back))
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
		{"tags", func(in *Inputs) { in.Proxy.Proxy.Config = map[string]any{"envoy_stats_tags": []any{map[string]any{}}} }, `proxy config key "envoy_stats_tags": item 0: a string is expected`},
		{"key of a later version", func(in *Inputs) { in.Proxy.Proxy.Config = map[string]any{"envoy_tracing_json": "{}"} }, `proxy config key "envoy_tracing_json": is not supported by this version`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			tc.change(&in)
			_, err := Render(in)
			must.ErrorContains(t, err, tc.want)
		})
	}
}
