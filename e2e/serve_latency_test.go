package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// A thousand requests go to Nomad directly and through the server before it, in
// turns. None fails, and half of them take at most a millisecond longer.
func TestServe_latency(t *testing.T) {
	c := cluster(t)
	direct, through := sideBySide(t, c, serveBefore(t, c).url, 1000)
	t.Logf("p50 of reads: %s directly, %s through the server", direct, through)
	must.Less(t, time.Millisecond, through-direct)
}

// BenchmarkServe measures the same, and what a plan of a job with sidecars takes.
func BenchmarkServe(b *testing.B) {
	c := newCluster(b, agents.Options{})
	defer func() { must.NoError(b, c.Close(context.WithoutCancel(b.Context()))) }()
	server := serveBefore(b, c)
	defer server.end()
	source, err := os.ReadFile(echoFile)
	must.NoError(b, err)
	job, err := server.client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: string(source), Canonicalize: true})
	must.NoError(b, err)
	var plans []time.Duration
	for b.Loop() {
		direct, through := sideBySide(b, c, server.url, 1000)
		b.ReportMetric(float64(direct.Microseconds()), "direct-µs")
		b.ReportMetric(float64(through.Microseconds()), "through-µs")
		for range 100 {
			start := time.Now()
			_, _, err := server.client.Jobs().Plan(job, true, nil)
			must.NoError(b, err)
			plans = append(plans, time.Since(start))
		}
	}
	slices.Sort(plans)
	b.ReportMetric(float64(plans[len(plans)/2].Microseconds()), "plan-µs")
	b.ReportMetric(0, "ns/op")
}

// sideBySide gives the medians.
func sideBySide(t testing.TB, c *agents.Cluster, server string, n int) (direct, through time.Duration) {
	t.Helper()
	ways := []string{"http://" + c.Nomad.HTTP, server}
	var times [2][]time.Duration
	for range n {
		for i, way := range ways {
			start := time.Now()
			response, err := http.Get(way + "/v1/jobs?namespace=*&meta=true")
			must.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			must.NoError(t, err)
			must.NoError(t, response.Body.Close())
			must.Eq(t, http.StatusOK, response.StatusCode)
			times[i] = append(times[i], time.Since(start))
		}
	}
	for _, times := range times {
		slices.Sort(times)
	}
	return times[0][n/2], times[1][n/2]
}
