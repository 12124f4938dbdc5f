package sidecar

import (
	"fmt"
)

// needs are what Envoy is to hear from a management server before it is of use:
// all of it from Consul.
type needs struct{ stream, clusters, listeners bool }

// notReady says what is missing before Envoy is of use to the app: nothing
// when it is LIVE and has had its clusters and its listeners from Consul.
// (Its own /ready is not enough: Envoy goes LIVE, too, when it has refused
// everything that Consul sent.)
func notReady(p progress, epoch int, needs needs, agent string) string {
	switch {
	case !p.answers:
		return "Envoy's admin API does not answer yet"
	case p.epoch != epoch:
		return fmt.Sprintf("the admin API is still that of generation %d", p.epoch)
	case needs.stream && !p.connected:
		return fmt.Sprintf("Envoy has no xDS connection to %s", agent)
	case p.clustersRefused > 0 && p.clusters == 0:
		return "Envoy refused the clusters that Consul sent: " + orUnknown(p.refusal)
	case needs.clusters && p.clusters == 0:
		return "Consul has sent no clusters yet"
	case p.listenersRefused > 0:
		return "Envoy refused a listener that Consul sent: " + orUnknown(p.refusal)
	case needs.listeners && p.listeners == 0:
		return "Consul has sent no listeners yet"
	case p.warming > 0:
		return fmt.Sprintf("%d clusters or listeners still wait for endpoints or certificates from Consul", p.warming)
	case p.state != "LIVE":
		return "Envoy is " + p.state
	case !p.workers:
		return "Envoy's workers have not started"
	}
	return ""
}

// tookOver tells that a generation has the listeners: its workers listen, and
// the one before does not any more.
func (p progress) tookOver(epoch int) bool { return p.epoch == epoch && p.workers }

func orUnknown(s string) string {
	if s == "" {
		return "see the task's log for the reason"
	}
	return s
}
