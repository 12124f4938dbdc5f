package mesh

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/sidecar"
)

// ready is what the ready check of a proxy is made of: how the proxy stands, and the
// checks of the service that it stands before. An alias check of Consul's would be
// critical from the moment that Nomad replaces a check of the service until Consul
// has run the new one, with all instances of the service at once.
type ready struct {
	parent  string             // its ID; empty for none
	address string             // where the parent accepts connections
	checks  []*api.HealthCheck // the parent's, as the agent had them last; nil before
	own     []*api.HealthCheck // the proxy's, likewise
	vouch   vouch
	seen    string // the checks as they were when they were last judged
	told    verdict
}

// stands says before whom; both are empty for nobody.
func (r *ready) stands(parent, address string) {
	if r.parent != parent {
		r.checks = nil // well or not is kept: it is the same service
	}
	r.parent, r.address = parent, address
}

// saw takes over what the agent has, and tells whether it is another than was judged,
// or than was told.
func (r *ready) saw(proxyID string, proxy, parent *consul.Health) (altered bool) {
	r.own = sorted(proxy.Checks)
	if parent != nil {
		r.checks = ofService(parent)
	}
	check := proxy.Checks[readyCheckID(proxyID)]
	if check == nil {
		return true
	}
	if r.told == (verdict{}) { // by an earlier life
		r.vouch.well = check.Status != api.HealthCritical
		r.told = verdict{check.Status, check.Output}
		return true
	}
	return check.Status != r.told.status || r.digest() != r.seen
}

// ofService are the checks of a service, without the node's but for maintenance:
// Consul counts those for the proxy, too.
func ofService(health *consul.Health) []*api.HealthCheck {
	list := []*api.HealthCheck{} // nil stands for not known
	for _, check := range sorted(health.Checks) {
		if check.ServiceID != "" || isMaintenance(check) {
			list = append(list, check)
		}
	}
	return list
}

// digest is what a verdict on checks depends on.
func (r *ready) digest() string {
	var text strings.Builder
	for _, check := range r.checks {
		fmt.Fprintln(&text, check.CheckID, check.Status, check.Output == "", check.Notes)
	}
	for _, check := range r.own {
		if isMaintenance(check) {
			fmt.Fprintln(&text, check.CheckID, check.Notes)
		}
	}
	return text.String()
}

// judge makes the verdict on a standing. again is how soon it may be another, 0 when
// Consul has run all checks and it is heard what becomes of them.
func (r *ready) judge(ctx context.Context, n Node, s sidecar.Standing) (v verdict, again time.Duration, err error) {
	if !s.Open {
		r.seen = r.digest()
		return judge(s, nil, r.own), 0, nil
	}
	unheard := r.parent != "" && !n.Watch.Follows(r.parent)
	if unheard || (r.parent != "" && (r.checks == nil || r.vouch.pending(r.checks))) {
		health, err := n.health(ctx, r.parent)
		if err != nil {
			return v, 0, err
		}
		if health != nil { // else Look says what has become of it
			r.checks, r.address = ofService(health), parentOf(health.Service).address()
		}
	}
	r.seen = r.digest()
	checks, again := r.vouch.settle(ctx, n, r.parent, r.address, r.checks)
	if again == 0 && unheard {
		again = rereading(n.Watch)
	}
	return judge(s, checks, r.own), again, nil
}

// set tells Consul a verdict.
func (r *ready) set(ctx context.Context, n Node, proxyID string, v verdict) error {
	err := n.Consul.SetStatus(ctx, readyCheckID(proxyID), v.status, v.note)
	if err == nil {
		r.told = v
	}
	return err
}

// reply says what the mesh makes of a standing that was told.
func (r *ready) reply(n Node, s sidecar.Standing, v verdict, again time.Duration) sidecar.Reply {
	reply := sidecar.Reply{Again: again}
	if reply.Again == 0 {
		reply.Again = renewal(n.Watch)
		if n.Consul.Tokens().Task != "" {
			reply.Again = min(reply.Again, tokenRenewal(n.Watch))
		}
	}
	if s.Open && v.status == api.HealthCritical {
		reply.Held = v.note
	}
	return reply
}

const (
	// renewLeast is the least time between two renewals of a ready check. It is far
	// below the TTL. A token that Consul does not know any more, or a check that is
	// gone, is noticed then at the latest.
	renewLeast = 30 * time.Second

	// tokenLeast is the least time between two renewals with an ACL token: whether Consul
	// knows it still is heard of by using it, and not otherwise.
	tokenLeast = 3 * time.Second

	// rereadLeast is the least time between two looks at checks of which no news
	// come.
	rereadLeast = 5 * time.Second
)

// renewal is how soon a member tells Consul again what it knows already.
func renewal(w *consul.Watch) time.Duration {
	return min(w.Share(renewLeast), readyTTL/6)
}

// tokenRenewal is the same with an ACL token.
func tokenRenewal(w *consul.Watch) time.Duration {
	return w.Share(tokenLeast)
}

// rereading is how soon a member looks again at checks of which no news come.
func rereading(w *consul.Watch) time.Duration {
	return min(renewal(w), w.Share(rereadLeast))
}
