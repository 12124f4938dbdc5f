package mesh

import (
	"context"
	"fmt"
	"slices"
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
	var parent *consul.Health
	if o.parent != nil {
		if parent, err = o.health(ctx, o.parent.ID); err != nil {
			return sidecar.Finding{}, err
		}
	}
	if o.parent != nil && parent == nil {
		return o.orphaned(ctx)
	}
	if parent != nil {
		o.heed(parent.Service, found)
	}
	switch {
	case o.moved != nil:
		return *o.moved, nil
	case found == nil:
		return o.missing(true), nil
	}
	o.gone, o.renamed = time.Time{}, false
	o.compare(found, parent)
	if o.relocated(); o.moved != nil {
		return *o.moved, nil
	}
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

// compare notes whether Consul has what it was told, and whether it was told what is
// so now; parent is nil for a standalone sidecar.
func (o *Own) compare(found, parent *consul.Health) {
	if !o.told.known && found.Service.Port == o.reg.Listener.Number {
		o.told.admitted, o.told.reaped = true, true // by an earlier life
	}
	if o.ready.saw(o.id(), found, parent) || o.told.token != o.Consul.Tokens().Task {
		o.altered = true
	}
	o.alias = found.Checks[aliasCheckID(o.id())] != nil
}

// heed takes over what the parent says of itself now. Where tags may be changed by
// others in the catalog (enable_tag_override) the proxy keeps its own, as a sidecar of
// Nomad's does; proxy is nil for one that is gone.
func (o *Own) heed(parent *api.AgentService, proxy *consul.Health) {
	now := parentOf(parent)
	switch {
	case !parent.EnableTagOverride:
	case proxy != nil:
		now.Tags = proxy.Service.Tags
	case !o.unread:
		now.Tags = o.parent.Tags
	}
	if !now.equal(o.parent) {
		o.parent, o.altered = now, true
	}
	o.unread = false
	o.ready.stands(now.ID, now.address())
	if o.moved != nil {
		o.moved.Place = o.place()
	}
}

// relocated notes that the local service is at another address by now, under the same
// ID: the life goes on from there.
func (o *Own) relocated() {
	at := o.place()
	if at.App == o.app {
		return
	}
	why := fmt.Sprintf("The service %q is another by now: at %s in place of %s", o.reg.Service, at.App.Address, o.app.Address)
	o.moved = &sidecar.Finding{Presence: sidecar.Moved, Why: why, Place: at}
	o.app = at.App
}

// orphaned looks for what Nomad has put into the place of a parent that is gone: with
// another port label it has another ID.
func (o *Own) orphaned(ctx context.Context) (sidecar.Finding, error) {
	group, err := o.Consul.GroupServices(ctx, o.reg.Parent.IDPrefix)
	if err != nil {
		return sidecar.Finding{}, err
	}
	next := o.reg.successor(group)
	if next != nil && next.ID == o.parent.ID { // it has come back meanwhile
		return o.missing(true), nil
	}
	if next == nil {
		finding := o.missing(false)
		if finding.Presence == sidecar.Withdrawn {
			o.tellRenamed(services(group))
		}
		return finding, nil
	}
	why := fmt.Sprintf("The service %q is another by now: %s in place of %s", o.reg.Service, next.at(), o.parent.at())
	o.former = append(o.former, o.id())
	o.parent, o.told, o.altered, o.gone, o.renamed = next, told{}, true, time.Time{}, false
	o.former = slices.DeleteFunc(o.former, func(id string) bool { return id == o.id() }) // it may have moved back
	o.unread = false
	o.ready.stands(next.ID, next.address())
	o.follow()
	o.moved = &sidecar.Finding{Presence: sidecar.Moved, Why: why, Place: o.place()}
	o.app = o.moved.Place.App
	return *o.moved, nil
}

// tellRenamed says once that the group has other services only, when that has lasted:
// Nomad withdraws those of a group that ends one by one.
func (o *Own) tellRenamed(others []*api.AgentService) {
	if o.renamed || len(others) == 0 || time.Since(o.gone) < probation {
		return
	}
	o.renamed = true
	o.Emit(fmt.Sprintf("The service %q, which the sidecar stands before, is gone, and the group has %s: no peers come in; set service in the task's config to the name of now and submit the job again",
		o.reg.Service, namesOf(others)))
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
		o.altered, o.lost, o.gone = true, true, time.Time{}
		return sidecar.Finding{Presence: sidecar.Lost, Why: lostSaid}
	}
	return sidecar.Finding{Presence: sidecar.Withdrawn, Why: withdrawnSaid}
}
