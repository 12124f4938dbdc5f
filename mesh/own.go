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
}

// Own is the member that we register.
type Own struct {
	Node
	reg Registration

	parent   *ParentService // nil when standalone, or not found yet
	joined   bool           // Consul may have it
	told     told
	open     bool      // peers may come, as it was told last
	altered  bool      // Consul has something else than it was told
	alias    bool      // the alias check is wrong
	gone     time.Time // since when it is, zero when it is there
	news     <-chan struct{}
	unfollow func()
}

// told is what the registration in Consul was made of; zero when it is not ours
// yet.
type told struct {
	known   bool
	process process.Identity
	open    bool
	token   string
}

// NewOwn makes the member of a registration.
func NewOwn(reg Registration, node Node) *Own {
	return &Own{Node: node, reg: reg, unfollow: func() {}}
}

func (o *Own) id() string { return o.reg.id(o.parent) }

// Join implements sidecar.Member.
func (o *Own) Join(ctx context.Context) (sidecar.Place, error) {
	group, err := o.findParent(ctx)
	if err != nil {
		return sidecar.Place{}, err
	}
	if other := o.other(group); other != "" {
		return sidecar.Place{}, sidecar.Invalidf("service", "the task %q of this group is the sidecar of %q already", other, o.reg.Service)
	}
	o.joined = true // a failed request may have been carried out all the same
	if err := o.register(ctx, sidecar.Standing{}); err != nil {
		var rejected *consul.RejectedError
		if errors.As(err, &rejected) {
			return sidecar.Place{}, sidecar.Invalidf("sidecar_service", "%v", err)
		}
		return sidecar.Place{}, err
	}
	o.Emit(fmt.Sprintf("Registered %s in Consul, public listener %s", o.reg.Service+proxySuffix, o.reg.Listener))
	o.follow()
	return placeOf(o.id(), o.reg.Service, o.reg.Listener, o.reg.proxy(o.parent)), nil
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
	if err == nil && !found {
		err = o.reg.noParent(group, o.Consul.Tokens().Task)
	}
	return group, err
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
		o.parent = &ParentService{ID: strings.TrimSuffix(at.ID, proxySuffix)}
	}
	o.joined = true
	o.follow()
}

func (o *Own) follow() {
	var parents []string
	if o.parent != nil {
		parents = append(parents, o.parent.ID)
	}
	o.news, o.unfollow = o.Watch.Follow(o.id(), parents...)
}

// News implements sidecar.Member.
func (o *Own) News() <-chan struct{} { return o.news }

// Tell implements sidecar.Member. To keep peers away it sets the check and nothing
// else: that is quickest, and brings nothing back that was withdrawn.
func (o *Own) Tell(ctx context.Context, s sidecar.Standing) (sidecar.Reply, error) {
	if s.Open || !o.told.open {
		if err := o.register(ctx, s); err != nil {
			return sidecar.Reply{}, err
		}
	}
	if o.alias {
		if err := o.mendAlias(ctx); err != nil {
			return sidecar.Reply{}, err
		}
	}
	o.open = s.Open
	status, note := status(s)
	err := o.Consul.SetStatus(ctx, readyCheckID(o.id()), status, note)
	if !s.Open && errors.Is(err, consul.ErrNoCheck) {
		err = nil // there is nothing to keep them away from
	}
	return sidecar.Reply{Again: renewal(o.Watch)}, err
}

// register tells Consul of the proxy when it has heard something else; checks that
// are not named go.
func (o *Own) register(ctx context.Context, s sidecar.Standing) error {
	now := told{known: true, process: s.Process, open: s.Open, token: o.Consul.Tokens().Task}
	if o.told == now && !o.altered {
		return nil
	}
	if err := o.Consul.Register(ctx, o.reg.agentService(o.parent, s.Process, s.Open), true); err != nil {
		return err
	}
	if before := o.told; before.known && before.token != now.token {
		o.Emit("Registered again with the new ACL token")
	}
	o.told, o.altered = now, false
	return nil
}

func (o *Own) mendAlias(ctx context.Context) error {
	passing := aliasCheck(o.id(), o.parent.ID)
	passing.Status = api.HealthPassing
	if err := o.Consul.ReplaceCheck(ctx, o.id(), passing); err != nil {
		return err
	}
	o.alias = false
	o.Emit("Consul took the service for critical after its restart, although it is well: told it better")
	return nil
}

// settle is how long peers are given to hear from Consul that a proxy is gone.
const settle = time.Second

// Leave implements sidecar.Member.
func (o *Own) Leave(ctx context.Context) (sidecar.Farewell, error) {
	o.unfollow()
	farewell := sidecar.Farewell{Said: "withdrawn from Consul"}
	if !o.joined {
		return farewell, nil
	}
	has, err := o.Consul.Has(ctx, o.id())
	if err == nil && has[o.id()] {
		var found bool
		if found, err = o.Consul.Deregister(ctx, o.id()); found {
			farewell.Heard = settle
		}
	}
	o.joined = err != nil
	return farewell, err
}

const (
	// renewLeast is the least time between two renewals of a ready check, and
	// renewShare what each sidecar of the node adds to it: a thousand renew 3
	// checks a second together. It is far below the TTL. A token that Consul does
	// not know any more, or a check that is gone, is noticed then at the latest.
	renewLeast = 30 * time.Second
	renewShare = 300 * time.Millisecond
)

// renewal is how soon a member tells Consul again what it knows already.
func renewal(w *consul.Watch) time.Duration {
	return min(max(renewLeast, time.Duration(w.Followers())*renewShare), readyTTL/6)
}
