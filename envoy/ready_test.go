package envoy

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestProgress_missing(t *testing.T) {
	ready := Progress{Answers: true, State: "LIVE", Connected: true, Clusters: 1, Listeners: 1, Workers: true}
	all := Needs{Stream: true, Clusters: true, Listeners: true}
	consul := ManagementServer{Name: "Consul", Where: "the Consul agent at x", Refusal: "bad"}
	must.Eq(t, "", ready.Missing(0, all, consul))
	for _, tc := range []struct {
		change func(*Progress)
		want   string
	}{
		{func(p *Progress) { p.Answers = false }, "Envoy's admin API does not answer yet"},
		{func(p *Progress) { p.Epoch = 7 }, "the admin API is still that of generation 7"},
		{func(p *Progress) { p.Connected = false }, "Envoy has no xDS connection to the Consul agent at x"},
		{func(p *Progress) { p.Clusters = 0 }, "Consul has sent no clusters yet"},
		{func(p *Progress) { p.Clusters, p.ClustersRefused = 0, 1 }, "Envoy refused the clusters that Consul sent: bad"},
		{func(p *Progress) { p.Listeners = 0 }, "Consul has sent no listeners yet"},
		{func(p *Progress) { p.ListenersRefused = 1 }, "Envoy refused a listener that Consul sent: bad"},
		{func(p *Progress) { p.Warming = 2 }, "2 clusters or listeners still wait for endpoints or certificates from Consul"},
		{func(p *Progress) { p.State = "INITIALIZING" }, "Envoy is INITIALIZING"},
		{func(p *Progress) { p.Workers = false }, "Envoy's workers have not started"},
	} {
		p := ready
		tc.change(&p)
		must.Eq(t, tc.want, p.Missing(0, all, consul))
	}
}

// What is not asked for is not waited for.
func TestProgress_missingNothing(t *testing.T) {
	static := Progress{Answers: true, Epoch: 2, State: "LIVE", Workers: true}
	must.Eq(t, "", static.Missing(2, Needs{}, ManagementServer{}))
	must.True(t, static.TookOver(2))
	must.False(t, static.TookOver(1))
}
