package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"nomad-driver-connect/e2e/agents"
)

// bootstrapEqual holds what a sidecar's Envoy runs with against what
// `consul connect envoy -bootstrap` prints for the same proxy. The admin API
// is elsewhere, Envoy adds to its node what it is itself, and the driver what
// holds at the task's memory limit.
func bootstrapEqual(t *testing.T, m *mesh, alloc *api.Allocation) {
	t.Helper()
	proxy, err := m.proxyOf(t.Context(), alloc)
	must.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), filepath.Join(*tools, "consul"), "connect", "envoy", "-bootstrap",
		"-http-addr", m.Consul.HTTP, "-grpc-addr", fmt.Sprintf("127.0.0.1:%d", m.Consul.GRPC), "-proxy-id", proxy.ID)
	printed, err := cmd.Output()
	must.NoError(t, err)
	want, got := readBootstrap(t, printed), &bootstrapv3.Bootstrap{}
	must.NoError(t, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(runningBootstrap(t, m.envoyOf(alloc)), got))

	must.Eq(t, "admin.sock", got.GetAdmin().GetAddress().GetPipe().GetPath())
	must.True(t, proto.Equal(want.GetAdmin().GetAccessLog()[0], got.GetAdmin().GetAccessLog()[0]))
	want.Admin, got.Admin = nil, nil
	got.Node.UserAgentName, got.Node.UserAgentVersionType, got.Node.Extensions = "", nil, nil
	task, ok := alloc.AllocatedResources.Tasks[proxy.Meta["nomad-task"]]
	must.True(t, ok)
	overloadManager(t, got, uint64(task.Memory.MemoryMB)<<20)
	must.True(t, proto.Equal(want, got), must.Sprintf("consul prints\n%s\nEnvoy runs with\n%s", want, got))
}

// runningBootstrap asks an Envoy on its admin socket.
func runningBootstrap(t *testing.T, pid int) []byte {
	t.Helper()
	body, err := agents.AskEnvoy(t.Context(), pid, "/config_dump")
	must.NoError(t, err)
	var dump struct {
		Configs []struct {
			Type      string          `json:"@type"`
			Bootstrap json.RawMessage `json:"bootstrap"`
		} `json:"configs"`
	}
	must.NoError(t, json.Unmarshal(body, &dump))
	for _, config := range dump.Configs {
		if strings.HasSuffix(config.Type, "BootstrapConfigDump") {
			return config.Bootstrap
		}
	}
	t.Fatal("Envoy dumps no bootstrap")
	return nil
}
