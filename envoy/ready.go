package envoy

import "fmt"

// Needs are what Envoy is to hear from a management server before it is of use.
type Needs struct{ Stream, Clusters, Listeners bool }

// ManagementServer is whom Envoy hears its clusters and listeners from, as sentences
// call it.
type ManagementServer struct {
	Name    string // "has sent no clusters yet"
	Where   string // that there is "no xDS connection to"
	Refusal string // Envoy's words on what it has refused, when it has
}

// Missing says in a sentence what is missing before Envoy is of use: nothing when
// the generation of an epoch is LIVE and has had its clusters and its listeners.
// (Its own /ready is not enough: Envoy goes LIVE, too, when it has refused
// everything that was sent to it.)
func (p Progress) Missing(epoch int, needs Needs, from ManagementServer) string {
	switch {
	case !p.Answers:
		return "Envoy's admin API does not answer yet"
	case p.Epoch != epoch:
		return fmt.Sprintf("the admin API is still that of generation %d", p.Epoch)
	case needs.Stream && !p.Connected:
		return fmt.Sprintf("Envoy has no xDS connection to %s", from.Where)
	case p.ClustersRefused > 0 && p.Clusters == 0:
		return fmt.Sprintf("Envoy refused the clusters that %s sent: %s", from.Name, from.Refusal)
	case needs.Clusters && p.Clusters == 0:
		return from.Name + " has sent no clusters yet"
	case p.ListenersRefused > 0:
		return fmt.Sprintf("Envoy refused a listener that %s sent: %s", from.Name, from.Refusal)
	case needs.Listeners && p.Listeners == 0:
		return from.Name + " has sent no listeners yet"
	case p.Warming > 0:
		return fmt.Sprintf("%d clusters or listeners still wait for endpoints or certificates from %s", p.Warming, from.Name)
	case p.State != "LIVE":
		return "Envoy is " + p.State
	case !p.Workers:
		return "Envoy's workers have not started"
	}
	return ""
}

// Refused tells whether Envoy has refused something that was sent to it.
func (p Progress) Refused() bool { return p.ClustersRefused+p.ListenersRefused > 0 }

// TookOver tells that the generation of an epoch has the listeners: its workers
// listen, and the one before does not any more.
func (p Progress) TookOver(epoch int) bool { return p.Epoch == epoch && p.Workers }
