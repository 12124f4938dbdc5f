package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	consul "github.com/hashicorp/consul/api"

	"nomad-driver-connect/e2e/agents"
)

// BenchmarkConsulConnectEnvoy is the peer of the driver's own rendering
// (BenchmarkRender): the consul command on a live agent.
func BenchmarkConsulConnectEnvoy(b *testing.B) {
	bin, err := filepath.Abs(*tools)
	if err != nil {
		b.Fatal(err)
	}
	c, err := agents.StartConsul(b.Context(), bin, b.TempDir(), agents.ConsulOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Stop() }()
	err = c.Client.Agent().ServiceRegister(&consul.AgentServiceRegistration{
		Name: "web", Port: 8080, Connect: &consul.AgentServiceConnect{SidecarService: &consul.AgentServiceRegistration{}},
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		out, err := exec.CommandContext(b.Context(), filepath.Join(bin, "consul"), "connect", "envoy", "-bootstrap",
			"-http-addr", c.HTTP, "-grpc-addr", fmt.Sprintf("127.0.0.1:%d", c.GRPC), "-proxy-id", "web-sidecar-proxy").Output()
		if err != nil || len(out) == 0 {
			b.Fatal(err)
		}
	}
}
