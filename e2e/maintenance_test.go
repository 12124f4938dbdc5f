package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// Maintenance that an operator puts on a sidecar stays until the operator ends it, and
// so does a check that somebody else has added, whatever becomes of the sidecar.
func TestMaintenance(t *testing.T) {
	const manager = "1b7d0c54-2f7e-4c0b-9d7b-6a1f3c8e5d02"
	c := newCluster(t, agents.Options{Consul: agents.ConsulOptions{Token: manager}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(c.Dir, "web.token")
	giveToken(t, c, file)
	_, err := c.Nomad.Run(t.Context(), webJob(0, quickDrain+fmt.Sprintf("consul {\n token_file = %q\n}", file)))
	must.NoError(t, err)
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "web"))
	m := &mesh{Cluster: c, t: t}
	web := awaitRunning(t, c, "web", "web")
	awaitEvent(t, c, web, "proxy", time.Time{}, "Serving")
	proxy, err := m.proxyOf(t.Context(), web)
	must.NoError(t, err)
	m.maintain(proxy.ID)
	m.inMaintenance(web)

	for _, tc := range []struct {
		name string
		do   func(t *testing.T, since time.Time)
	}{
		{"a hot restart", func(t *testing.T, since time.Time) {
			must.NoError(t, c.Nomad.Client.Allocations().Signal(web, nil, "proxy", "SIGHUP"))
			awaitEvent(t, c, web, "proxy", since, "(SIGHUP): Envoy")
		}},
		{"a new token", func(t *testing.T, since time.Time) {
			giveToken(t, c, file)
			awaitEvent(t, c, web, "proxy", since, "has changed): Envoy")
		}},
		{"a restart of the plugin", func(t *testing.T, since time.Time) {
			killPlugin(t, c, func(context.Context) error { return nil })
			awaitEvent(t, c, web, "proxy", since, "Found Envoy again")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.do(t, time.Now())
			m.inMaintenance(web)
		})
	}
	must.NoError(t, c.Consul.Client.Agent().DisableServiceMaintenance(proxy.ID))
	eventually(t, 20*time.Second, func(context.Context) error {
		if ready, err := m.readyCheck(web); err != nil || ready.Status != consul.HealthPassing || strings.Contains(ready.Output, "maintenance") {
			return fmt.Errorf("%+v %w", ready, err)
		}
		return nil
	})
}

// giveToken writes another token for "web" into a file.
func giveToken(t *testing.T, c *agents.Cluster, file string) {
	t.Helper()
	token, _, err := c.Consul.Client.ACL().TokenCreate(&consul.ACLToken{
		ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "web"}},
	}, nil)
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(file, []byte(token.SecretID), 0o644))
}

// maintain does to a sidecar what an operator and another program may do.
func (m *mesh) maintain(id string) {
	m.t.Helper()
	must.NoError(m.t, m.Consul.Client.Agent().EnableServiceMaintenance(id, "a new disk"))
	must.NoError(m.t, m.Consul.Client.Agent().CheckRegister(&consul.AgentCheckRegistration{
		ID: "foreign", Name: "somebody else's", ServiceID: id,
		AgentServiceCheck: consul.AgentServiceCheck{TTL: "1h", Status: consul.HealthPassing},
	}))
}

// inMaintenance sees to it that an allocation's sidecar has both still, and says so.
func (m *mesh) inMaintenance(alloc *api.Allocation) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func(context.Context) error {
		ready, err := m.readyCheck(alloc)
		if err != nil {
			return err
		}
		if !strings.Contains(ready.Output, "a new disk") {
			return fmt.Errorf("the ready check says %q", ready.Output)
		}
		return nil
	})
	checks, err := m.Consul.Client.Agent().Checks()
	must.NoError(m.t, err)
	must.MapContainsKey(m.t, checks, "foreign")
	proxy, err := m.proxyOf(m.t.Context(), alloc)
	must.NoError(m.t, err)
	must.MapContainsKey(m.t, checks, "_service_maintenance:"+proxy.ID)
}

// readyCheck is that of an allocation's sidecar.
func (m *mesh) readyCheck(alloc *api.Allocation) (*consul.AgentCheck, error) {
	checks, err := m.Consul.Client.Agent().Checks()
	if err != nil {
		return nil, err
	}
	for id, check := range checks {
		if strings.Contains(id, alloc.ID) && strings.HasSuffix(id, ":ready") {
			return check, nil
		}
	}
	return nil, fmt.Errorf("the sidecar of %s has no ready check", alloc.ID)
}
