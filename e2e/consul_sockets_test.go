package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// Consul answers the plugin and the proxies on unix sockets: registration, the watch, the
// checks and xDS, through a hot restart, a restart of Consul, and a stop.
func TestConsulSockets(t *testing.T) {
	c := newCluster(t, agents.Options{Consul: agents.ConsulOptions{Sockets: true}})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	m := runEchoOn(t, c)
	eventually(t, 20*time.Second, m.bothAnswer)
	must.StrContains(t, m.sidecarEvents(m.servers[0], "connect-proxy-echo"), "Rendered the bootstrap, xDS from unix://")

	since := time.Now()
	must.NoError(t, c.Nomad.Client.Allocations().Signal(m.client, nil, "connect-proxy-client", "SIGHUP"))
	awaitEvent(t, c, m.client, "connect-proxy-client", since, "Hot restart 1")
	must.NoError(t, c.Consul.Snapshot(t.Context())) // as a server has that is older than a day
	must.NoError(t, c.Consul.Stop())
	must.NoError(t, c.Consul.Start())
	must.NoError(t, c.Consul.Await(t.Context()))
	must.Len(t, 3, (&shop{Cluster: c}).sidecars(t))
	eventually(t, 20*time.Second, m.bothAnswer)
	must.NoError(t, c.PurgeJobs(t.Context()))
	nothingLeft(t, c)
}
