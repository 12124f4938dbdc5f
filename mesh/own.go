package mesh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Node is what all members of a node share with the one that they are of.
type Node struct {
	Consul *consul.Client // acts with the task's token
	Watch  *consul.Watch  // of the node, shared
	Emit   sidecar.Emit

	// DataDir is where the Consul agent keeps what it knows, when that is a matter of
	// this machine; empty for unknown. The function may be nil.
	DataDir func(context.Context) (string, error)
}

// Own is the member that we register.
type Own struct {
	Node
	reg Registration

	parent   *ParentService // nil when standalone, or not found yet
	joined   bool           // Consul may have it
	told     told
	ready    ready
	unread   bool             // nothing but the parent's ID is known, from an earlier life
	app      sidecar.Address  // of the local service, as the life knows it
	altered  bool             // Consul has something else than it was told
	lost     bool             // Consul has lost it, and it is wanted
	moved    *sidecar.Finding // that it is to be registered at another place; nil when it is not
	former   []string         // IDs that it was registered under before it moved
	alias    bool             // a check of an earlier version of the driver is there
	gone     time.Time        // since when it is, zero when it is there
	renamed  bool             // it was said that the group has other services only
	follower *consul.Follower // nil before it is joined
}

// told is what the registration in Consul was made of; zero when it is not ours
// yet.
type told struct {
	known            bool
	process          process.Identity
	scraped          string // where
	token            string
	admitted, reaped bool
}

// NewOwn makes the member of a registration.
func NewOwn(reg Registration, node Node) *Own { return &Own{Node: node, reg: reg} }

func (o *Own) id() string { return o.reg.id(o.parent) }

// place is where it is now.
func (o *Own) place() sidecar.Place {
	at := placeOf(o.id(), o.reg.Service, o.reg.Listener, o.reg.proxy(o.parent))
	at.Peers = sidecar.Address{Network: "tcp", Address: o.reg.Listener.HostPort()}
	return at
}

// Join implements sidecar.Member. What Consul refuses is tried once more when the token
// has its rights, which it may not have at once.
func (o *Own) Join(ctx context.Context) (sidecar.Place, error) {
	at, err := o.join(ctx)
	var denied *consul.DeniedError
	if !errors.As(err, &denied) {
		return at, err
	}
	if err := o.awaitRights(ctx); err != nil {
		return at, err
	}
	return o.join(ctx)
}

func (o *Own) join(ctx context.Context) (sidecar.Place, error) {
	group, err := o.findParent(ctx)
	if err != nil {
		return sidecar.Place{}, err
	}
	if other := o.other(group); other != "" {
		return sidecar.Place{}, sidecar.Invalidf("service", "the task %q of this group is the sidecar of %q already", other, o.reg.Service)
	}
	if o.parent != nil {
		o.ready.stands(o.parent.ID, o.parent.address())
	}
	o.joined = true // a failed request may have been carried out all the same
	closed := sidecar.Standing{Why: "the proxy is being started"}
	if _, err := o.Tell(ctx, closed); err != nil {
		var rejected *consul.RejectedError
		if errors.As(err, &rejected) {
			return sidecar.Place{}, sidecar.Invalidf("sidecar_service", "%v", err)
		}
		return sidecar.Place{}, err
	}
	o.Emit(fmt.Sprintf("Registered %s in Consul, public listener %s", o.reg.Service+proxySuffix, o.reg.Listener))
	o.follow()
	at := o.place()
	o.app = at.App
	return at, nil
}

// findParent waits for the registration of the service that the proxy fronts, and
// gives all of its group.
func (o *Own) findParent(ctx context.Context) (group []*api.AgentService, err error) {
	if o.reg.Parent == nil {
		return o.Consul.GroupServices(ctx, o.reg.StandaloneID)
	}
	found, err := awaitNomad(ctx, func(ctx context.Context) (found bool, err error) {
		if group, err = o.Consul.GroupServices(ctx, o.reg.Parent.IDPrefix); err != nil {
			return false, err
		}
		o.parent, err = o.reg.chooseParent(group)
		return o.parent != nil, err
	})
	if err != nil || found {
		return group, err
	}
	// To a token without rights Consul shows no service, whatever there is.
	var lack *lackError
	if err := o.lack(ctx); errors.As(err, &lack) {
		return nil, err
	}
	return group, o.reg.noParent(group)
}

// other is the task that has registered this very sidecar already; empty for none.
func (o *Own) other(group []*api.AgentService) string {
	for _, svc := range group {
		if task := svc.Meta[MetaTask]; svc.ID == o.id() && task != o.reg.Meta[MetaTask] {
			return task
		}
	}
	return ""
}

// Rejoin implements sidecar.Member. The first Look reads the parent's registration.
func (o *Own) Rejoin(at sidecar.Place) {
	if o.reg.Parent != nil {
		o.parent, o.unread = &ParentService{ID: strings.TrimSuffix(at.ID, proxySuffix)}, true
		o.ready.stands(o.parent.ID, "")
	}
	o.joined, o.app = true, at.App
	o.follow()
}

// follow has the watch tell of the proxy and of its parent.
func (o *Own) follow() {
	what := consul.Interest{IDs: []string{o.id()}}
	if o.parent != nil {
		what.IDs, what.Group = append(what.IDs, o.parent.ID), o.reg.Parent.IDPrefix
	}
	if o.follower == nil {
		o.follower = o.Watch.Follow(what)
		return
	}
	o.follower.Change(what)
}

// News implements sidecar.Member.
func (o *Own) News() <-chan struct{} { return o.follower.News }

// Tell implements sidecar.Member. To keep peers away it sets the check first: that is
// quickest, and brings nothing back that was withdrawn.
func (o *Own) Tell(ctx context.Context, s sidecar.Standing) (sidecar.Reply, error) {
	v, again, err := o.ready.judge(ctx, o.Node, s)
	if err != nil {
		return sidecar.Reply{}, err
	}
	if !o.unread && (s.Open || !o.told.admitted || o.moved != nil || o.lost) {
		if err := o.register(ctx, s, v); err != nil {
			return sidecar.Reply{}, err
		}
	}
	err = o.ready.set(ctx, o.Node, o.id(), v)
	if err == nil && s.Open && o.told.known && o.told.token != o.Consul.Tokens().Task { // it was another a moment ago
		err = o.register(ctx, s, v)
	}
	if err == nil && !s.Open && o.told.reaped { // it may stay closed for long
		err = o.register(ctx, s, v)
	}
	if !s.Open && errors.Is(err, consul.ErrNoCheck) {
		err = nil // there is nothing to keep them away from
	}
	if err == nil {
		err = o.tidy(ctx)
	}
	return o.ready.reply(o.Node, s, v, again), err
}

// register tells Consul of the proxy when it has heard something else.
func (o *Own) register(ctx context.Context, s sidecar.Standing, v verdict) error {
	fit := s.Open && v.status != api.HealthCritical
	now := told{known: true, process: s.Process, token: o.Consul.Tokens().Task, admitted: fit || o.told.admitted, reaped: fit}
	now.scraped = fmt.Sprint(scraped(s.Listeners, o.reg.Listener.Address))
	if o.told == now && !o.altered {
		return nil
	}
	how := entry{admitted: now.admitted, reaped: now.reaped, status: v.status}
	if err := o.Consul.Register(ctx, o.reg.agentService(o.parent, s, how)); err != nil {
		return err
	}
	if before := o.told; before.known && before.token != now.token {
		o.Emit("Registered again with the new ACL token")
	}
	o.told, o.altered, o.lost, o.moved = now, false, false, nil
	return nil
}

// tidy removes what is of no use any more, now that the new is there: registrations
// under former IDs, which Nomad may have removed, and the alias check of earlier
// versions.
func (o *Own) tidy(ctx context.Context) error {
	if len(o.former) > 0 {
		if _, err := o.deregister(ctx, o.former...); err != nil {
			return err
		}
		o.former = nil
	}
	if o.alias {
		if err := o.Consul.RemoveCheck(ctx, aliasCheckID(o.id())); err != nil {
			return err
		}
		o.alias = false
	}
	return nil
}

// settle is how long peers are given to hear from Consul that a proxy is gone.
const settle = time.Second

// Leave implements sidecar.Member.
func (o *Own) Leave(ctx context.Context) (sidecar.Farewell, error) {
	if o.follower != nil {
		o.follower.Stop()
	}
	farewell := sidecar.Farewell{Said: "withdrawn from Consul"}
	if !o.joined {
		return farewell, nil
	}
	found, err := o.deregister(ctx, append(o.former, o.id())...)
	if found {
		farewell.Heard = settle
	}
	o.joined = err != nil
	return farewell, err
}

// deregister removes those registrations that are there, and tells whether any was.
func (o *Own) deregister(ctx context.Context, ids ...string) (found bool, err error) {
	has, err := o.Consul.Has(ctx, ids...)
	for id := range has {
		if err != nil {
			break
		}
		var removed bool
		removed, err = o.Consul.Deregister(ctx, id)
		found = found || removed
	}
	return found, err
}
