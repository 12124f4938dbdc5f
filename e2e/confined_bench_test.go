package e2e

import (
	"context"
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// BenchmarkConfined measures from `nomad job run` to the first answer through the mesh,
// with both jobs submitted at once, of confined sidecars and of others, in turns.
func BenchmarkConfined(b *testing.B) {
	var races []*race
	for i, confine := range []string{"required", "off"} {
		c := newCluster(b, agents.Options{Confine: confine})
		defer func() { must.NoError(b, c.Close(context.WithoutCancel(b.Context()))) }()
		w := ways[0]
		if confine == "off" {
			w.name = "unconfined"
		}
		server := side{number: 2 * i}
		races = append(races, &race{way: w, c: c, server: server, client: side{number: 2*i + 1, upstream: server.name()}, cold: true})
	}
	for b.Loop() {
		for _, r := range races {
			must.NoError(b, r.run(b.Context()))
		}
		slices.Reverse(races) // to be the last may be an advantage
	}
	tell(b, races)
}
