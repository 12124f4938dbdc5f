package driver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/hook"
)

// portVariable is a number of Nomad's that is a whole value.
var portVariable = regexp.MustCompile(`"\$\{NOMAD_(HOST_)?PORT_\w+\}"`)

// hooked are the configs of this driver's tasks in a job that the hook rewrote,
// as the driver gets them.
func hooked(t *testing.T, file string) []TaskConfig {
	t.Helper()
	body, err := os.ReadFile(file)
	must.NoError(t, err)
	job, err := hook.Parse(hook.Source{Path: file, Body: body})
	must.NoError(t, err)
	result, err := hook.Rewrite(job, hook.Options{})
	must.NoError(t, err)
	var configs []TaskConfig
	for _, g := range result.Job.TaskGroups {
		for _, task := range g.Tasks {
			if task.Driver != "connect" {
				continue
			}
			text, err := json.Marshal(task)
			must.NoError(t, err)
			var config TaskConfig
			text = portVariable.ReplaceAll(text, []byte(`"7400"`)) // Nomad's client would fill them in
			escaped := strings.NewReplacer("${NOMAD_", "$${NOMAD_", "${meta.", "$${meta.").Replace(string(text))
			hclutils.NewConfigParser(taskConfigSpec()).ParseJson(t, escaped, &config)
			_, err = kindOf(config)
			must.NoError(t, err)
			configs = append(configs, config)
		}
	}
	return configs
}

// What the hook writes fits the schema, with every field at its place.
func TestHook_fitsSchema(t *testing.T) {
	files, err := filepath.Glob("../e2e/testdata/hook/*.nomad.hcl")
	must.NoError(t, err)
	must.SliceNotEmpty(t, files)
	for _, file := range files {
		hooked(t, file)
	}
	configs := hooked(t, "../e2e/testdata/hook/fields.nomad.hcl")
	must.Len(t, 1, configs)
	got := configs[0]
	proxy := got.SidecarService.Proxy
	must.Eq(t, "%{ ${a b} is only a text", proxy.Config.(map[string]any)["text"])
	proxy.Config = nil // of any shape; proxyConfig has a test of its own
	must.Eq(t, TaskConfig{
		Service: "hook-fields",
		Consul:  &TaskConsulConfig{Address: "127.0.0.1:8500"},
		Envoy:   &EnvoyConfig{LogLevel: "debug", Args: []string{"--disable-extensions", "x"}},
		Ready:   &ReadyConfig{Timeout: "10s"},
		Drain:   &DrainConfig{Timeout: "5s"},

		NodeMeta: &NodeMeta{LogLevel: "${meta.connect.log_level}", Concurrency: "${meta.connect.proxy_concurrency}"},

		SidecarService: &SidecarService{
			Port:                   "mesh",
			Tags:                   []string{"a", "b"},
			Meta:                   map[string]string{"owner": "me"},
			DisableDefaultTCPCheck: true,
			Proxy: &Proxy{
				LocalServiceAddress: "127.0.0.3",
				LocalServicePort:    7401,
				Expose:              &Expose{Paths: []ExposePath{{Path: "/metrics", Protocol: "http2", LocalPathPort: 7402, ListenerPort: "metrics"}}},
				Upstreams: []Upstream{{
					DestinationName: "db", DestinationType: "service", DestinationNamespace: "ns", DestinationPartition: "part", DestinationPeer: "peer",
					Datacenter: "dc2", Port: "connect_upstream_hook_fields_db", LocalBindAddress: "127.0.0.2",
					MeshGateway: &MeshGateway{Mode: "remote"},
					Config: &UpstreamConfig{
						Protocol: "tcp", ConnectTimeoutMs: 5000, EnvoyListenerJSON: "{}", EnvoyClusterJSON: "{}", BalanceOutboundConnections: "exact_balance",
						Limits:             &UpstreamLimits{MaxConnections: ptr(1), MaxPendingRequests: ptr(2), MaxConcurrentRequests: ptr(3)},
						PassiveHealthCheck: &PassiveHealthCheck{Interval: "10s", MaxFailures: ptr(4), EnforcingConsecutive5xx: ptr(5), MaxEjectionPercent: ptr(6), BaseEjectionTime: "30s"},
						MeshGateway:        &MeshGateway{Mode: "local"},
					},
				}, {
					DestinationName: "cache", LocalBindSocketPath: "${NOMAD_ALLOC_DIR}/tmp/cache.sock", LocalBindSocketMode: "0660",
				}},
			},
		},
	}, got)
}

func ptr(n int) *int { return &n }
