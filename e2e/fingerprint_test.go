package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// What the node says of the driver while one thing after the other appears.
func TestFingerprint(t *testing.T) {
	ports, err := agents.FreePorts(1)
	must.NoError(t, err)
	c := newCluster(t, agents.Options{NoEnvoy: true, WithoutConsul: fmt.Sprintf("127.0.0.1:%d", ports[0])})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	bin, err := filepath.Abs(*tools)
	must.NoError(t, err)

	awaitHealth(t, c, false, false, "there is no Envoy at "+c.Envoy()+"; install it there, or say where it is")

	must.NoError(t, c.InstallEnvoy(filepath.Join(bin, "envoy")))
	awaitHealth(t, c, true, false, fmt.Sprintf("Consul does not answer at 127.0.0.1:%d", ports[0]))

	consul := startConsul(t, bin, agents.ConsulOptions{HTTPPort: ports[0], NoGRPC: true})
	awaitHealth(t, c, true, false, "has gRPC disabled, and Envoy takes its configuration over gRPC; set ports { grpc = 8502 }")
	must.NoError(t, consul.Stop())

	c.Consul = startConsul(t, bin, agents.ConsulOptions{HTTPPort: ports[0]})
	awaitHealth(t, c, true, true, "Healthy")

	_, attributes, err := c.Nomad.Driver(t.Context())
	must.NoError(t, err)
	must.Eq(t, "1", attributes["driver.connect"])
	must.Eq(t, "0.1.0", attributes["driver.connect.version"])
	must.StrHasPrefix(t, "1.36.", attributes["driver.connect.envoy.version"])
	must.Eq(t, "1.22.7", attributes["driver.connect.consul.version"])
	must.Eq(t, "auto", attributes["driver.connect.confine"])
	must.NotEq(t, "", attributes["driver.connect.confine.landlock"]) // "none" with an older kernel
	must.Eq(t, "true", attributes["driver.connect.confine.seccomp"])
}

func awaitHealth(t *testing.T, c *agents.Cluster, detected, healthy bool, description string) {
	t.Helper()
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		info, _, err := c.Nomad.Driver(ctx)
		if err != nil {
			return err
		}
		if info.Detected != detected || info.Healthy != healthy || !strings.Contains(info.HealthDescription, description) {
			return fmt.Errorf("want detected=%t healthy=%t %q, got %+v", detected, healthy, description, info)
		}
		return nil
	})
}
