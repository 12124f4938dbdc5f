package mesh

import (
	"context"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/sidecar"
)

// probation is how long the parent of a proxy that is gone must stay until the
// proxy counts as lost: Nomad removes the proxy some milliseconds before it.
const probation = time.Second

// Sentences about a proxy that is gone.
const (
	withdrawnSaid = "Withdrawn from Consul"
	forgottenSaid = "Consul has lost its data: the sidecar stays, and is registered again as soon as its service is"
	lostSaid      = "Registered again: Consul had lost the sidecar, and has its service"
)

// Look implements sidecar.Member. It asks the agent, which knows before the
// catalog does.
func (o *Own) Look(ctx context.Context) (sidecar.Finding, error) {
	found, err := o.health(ctx, o.id())
	if err != nil {
		return sidecar.Finding{}, err
	}
	wanted, parentIsWell := true, false
	if o.parent != nil {
		parent, err := o.health(ctx, o.parent.ID)
		if err != nil {
			return sidecar.Finding{}, err
		}
		if wanted = parent != nil; wanted {
			o.heed(parentOf(parent.Service))
			parentIsWell = parent.Status == api.HealthPassing
		}
	}
	if found == nil || !wanted {
		return o.missing(wanted), nil
	}
	o.gone = time.Time{}
	if o.told.token != o.Consul.Tokens().Task {
		o.altered = true
	}
	o.compare(found.Checks, parentIsWell)
	if o.altered || o.alias {
		return sidecar.Finding{Presence: sidecar.Altered}, nil
	}
	return sidecar.Finding{}, nil
}

// health asks for a service; nil for none. Of one that the catalog does not have it
// first asks whether it is there.
func (n Node) health(ctx context.Context, id string) (*consul.Health, error) {
	if !n.Watch.Has(id) {
		has, err := n.Consul.Has(ctx, id)
		if err != nil || !has[id] {
			return nil, err
		}
	}
	return n.Consul.Health(ctx, id)
}

// heed takes over what the parent says of itself now.
func (o *Own) heed(parent *ParentService) {
	if !parent.equal(o.parent) {
		o.parent, o.altered = parent, true
	}
}

// missing says what has become of a proxy that is gone, or whose parent is.
func (o *Own) missing(wanted bool) sidecar.Finding {
	if !o.Watch.InTouch() { // what is gone may have been withdrawn, or lost
		return sidecar.Finding{Presence: sidecar.Forgotten}
	}
	if o.gone.IsZero() {
		o.gone = time.Now()
	}
	forgot := o.Watch.Forgot()
	switch {
	case forgot && !wanted:
		return sidecar.Finding{Presence: sidecar.Forgotten, Why: forgottenSaid}
	case wanted && (forgot || time.Since(o.gone) >= probation):
		o.altered, o.gone = true, time.Time{}
		return sidecar.Finding{Presence: sidecar.Lost, Why: lostSaid}
	}
	return sidecar.Finding{Presence: sidecar.Withdrawn, Why: withdrawnSaid}
}

// compare notes which checks are not as they were told. An agent that starts takes
// alias checks for critical, and some miss that they are not until a minute has
// passed (Consul 1.22 begins to run them before it knows of them).
func (o *Own) compare(checks map[string]*api.HealthCheck, parentIsWell bool) {
	ready := checks[readyCheckID(o.id())]
	if ready == nil || (ready.Status == api.HealthPassing) != o.open {
		o.altered = true
	}
	alias := checks[aliasCheckID(o.id())]
	o.alias = parentIsWell && alias != nil && alias.Status == api.HealthCritical && o.Watch.InTouch()
}
