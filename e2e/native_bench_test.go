package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// BenchmarkNative measures from `nomad job run` to the first answer of the count
// example with Nomad's own Connect in bridge mode: with this driver's sidecars, and
// with the same Envoy run by raw_exec, in turns.
func BenchmarkNative(b *testing.B) {
	c := newBridgedCluster(b)
	defer func() { must.NoError(b, c.Close(context.WithoutCancel(b.Context()))) }()
	races := []*race{{way: way{name: "connect"}}, {way: way{name: "raw_exec"}}}
	for b.Loop() {
		for _, r := range races {
			took, err := firstCount(b, c, r.way.name)
			must.NoError(b, err)
			r.times = append(r.times, took)
		}
		slices.Reverse(races) // to be the last may be an advantage
	}
	tell(b, races)
}

// countPort is where the dashboard is found before it runs.
const countPort = 9555

// firstCount runs the example once.
func firstCount(t testing.TB, c *agents.Cluster, driver string) (time.Duration, error) {
	job := countJob(t, "bridge", "1")
	for _, g := range job.TaskGroups {
		if g.Services[0].Connect.SidecarTask.Driver != driver {
			g.Services[0].Connect.SidecarTask = byHand(c)
		}
		if *g.Name == "dashboard" {
			g.Networks[0].DynamicPorts = nil
			g.Networks[0].ReservedPorts = []api.Port{{Label: "http", Value: countPort, To: countPort}}
		}
	}
	asked := &count{Cluster: c, dashboard: fmt.Sprintf("10.123.0.1:%d", countPort)}
	start := time.Now()
	if _, _, err := c.Nomad.Client.Jobs().Register(job, nil); err != nil {
		return 0, err
	}
	err := agents.Within(t.Context(), 2*time.Minute, func(ctx context.Context) error {
		_, err := asked.ask(ctx)
		return err
	})
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	return took, c.PurgeJobs(t.Context())
}

// byHand is how people run the Envoy that Nomad has prepared without Docker. The
// bootstrap names a socket that is right in the allocation's directory only.
func byHand(c *agents.Cluster) *api.SidecarTask {
	return &api.SidecarTask{
		Driver: "raw_exec",
		Config: map[string]any{
			"command": "sh",
			"args": []string{"-c", `cd "$NOMAD_ALLOC_DIR/.." && exec "$0" -c "$NOMAD_SECRETS_DIR/envoy_bootstrap.json" --concurrency 1 --disable-hot-restart`,
				c.Envoy()},
		},
	}
}
