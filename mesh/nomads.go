package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/sidecar"
)

// NomadsRegistration is one that Nomad's own Connect makes and removes again.
type NomadsRegistration struct {
	ID     string // of the proxy: the node ID in its bootstrap
	Source string // of the bootstrap: its path, for sentences

	// OwnUser: the user of the task was made for it, and nobody else knows of it.
	OwnUser bool
}

// Nomads is the member that Nomad registers. The driver only says whether it
// is ready. Nomad's own checks know less: one has Consul connect to the listener every
// ten seconds, which holds a new sidecar critical for up to that long, and the other is
// an alias of the service's. Others of ours are in their place (replaced.go).
type Nomads struct {
	Node
	reg NomadsRegistration

	ready    ready
	complete bool             // our checks are there, and Nomad's are not
	theirs   []string         // IDs of Nomad's checks in whose places ours are to be; Consul may have lost them meanwhile
	replaced []string         // IDs of ours in their places
	follower *consul.Follower // nil before it is joined
}

// NewNomads makes the member of a registration of Nomad's.
func NewNomads(reg NomadsRegistration, node Node) *Nomads { return &Nomads{Node: node, reg: reg} }

// Join implements sidecar.Member.
func (n *Nomads) Join(ctx context.Context) (sidecar.Place, error) {
	var svc *api.AgentService
	found, err := awaitNomad(ctx, func(ctx context.Context) (_ bool, err error) {
		has, err := n.Consul.Has(ctx, n.reg.ID)
		if err != nil || !has[n.reg.ID] {
			return false, err
		}
		svc, err = n.Consul.Service(ctx, n.reg.ID)
		return svc != nil, err
	})
	switch {
	case err != nil:
		return sidecar.Place{}, err
	case !found:
		return sidecar.Place{}, fmt.Errorf("Consul shows no service %s, for which %s is: Nomad was to register it; is Nomad connected to the same Consul agent?", n.reg.ID, n.reg.Source)
	}
	at, err := n.place(svc)
	if err == nil {
		n.follow()
	}
	return at, err
}

// place takes from a registration what the driver says in its own.
func (n *Nomads) place(svc *api.AgentService) (sidecar.Place, error) {
	var proxy api.AgentServiceConnectProxyConfig
	if svc.Proxy != nil {
		proxy = *svc.Proxy
	}
	if proxy.Mode == api.ProxyModeTransparent && n.reg.OwnUser {
		return sidecar.Place{}, sidecar.Invalidf("user", "is one of the task's own, and a transparent proxy would have its own connections sent back to itself: Nomad excepts one user, 101 unless transparent_proxy { uid = … } says another; run it as that, with sidecar_task { user = \"101\" }")
	}
	if svc.Kind != api.ServiceKindConnectProxy {
		n.Emit(fmt.Sprintf("Runs the %s %s, which Nomad has registered", svc.Kind, svc.Service))
		return sidecar.Place{ID: svc.ID, Service: svc.Service}, nil
	}
	listener := sidecar.Port{Address: svc.Address, Number: svc.Port}
	if port, ok := proxy.Config["bind_port"].(float64); ok {
		listener.Number = int(port)
	}
	at := placeOf(svc.ID, proxy.DestinationServiceName, listener, proxy)
	n.Emit(fmt.Sprintf("Stands before %s, as Nomad has registered it; public listener %s, for peers %s",
		at.Service, at.Public, net.JoinHostPort(svc.Address, strconv.Itoa(svc.Port))))
	return at, nil
}

// Rejoin implements sidecar.Member.
func (n *Nomads) Rejoin(sidecar.Place) { n.follow() }

// follow has the watch tell of the proxy, and of the service that it stands before.
func (n *Nomads) follow() {
	ids := []string{n.reg.ID}
	if parent, ok := strings.CutSuffix(n.reg.ID, proxySuffix); ok {
		ids = append(ids, parent)
	}
	n.follower = n.Watch.Follow(consul.Interest{IDs: ids})
}

// News implements sidecar.Member.
func (n *Nomads) News() <-chan struct{} { return n.follower.News }

// Look implements sidecar.Member: an update of the job, or a Consul that has lost
// the checks, brings things back to what Nomad says.
func (n *Nomads) Look(ctx context.Context) (sidecar.Finding, error) {
	found, err := n.health(ctx, n.reg.ID)
	if err != nil {
		return sidecar.Finding{}, err
	}
	if found == nil {
		return n.missing(), nil
	}
	parent, err := n.parent(ctx, found.Service)
	if err != nil {
		return sidecar.Finding{}, err
	}
	n.replaced = replacedChecks(found.Checks)
	if len(nomadsChecks(found.Checks)) > 0 {
		n.complete = false
	}
	if n.ready.saw(n.reg.ID, found, parent) || !n.complete {
		n.complete = n.complete && found.Checks[readyCheckID(n.reg.ID)] != nil
		return sidecar.Finding{Presence: sidecar.Altered}, nil
	}
	return sidecar.Finding{}, nil
}

// parent looks how the service is that the proxy stands before; nil for none.
func (n *Nomads) parent(ctx context.Context, proxy *api.AgentService) (*consul.Health, error) {
	if proxy.Proxy == nil || proxy.Proxy.DestinationServiceID == "" {
		return nil, nil
	}
	parent, err := n.health(ctx, proxy.Proxy.DestinationServiceID)
	if parent != nil {
		n.ready.stands(parent.Service.ID, parentOf(parent.Service).address())
	}
	return parent, err
}

// missing says what has become of one that is gone.
func (n *Nomads) missing() sidecar.Finding {
	n.complete, n.theirs = false, nil
	switch {
	case !n.Watch.InTouch():
		return sidecar.Finding{Presence: sidecar.Forgotten}
	case n.Watch.Forgot():
		return sidecar.Finding{Presence: sidecar.Forgotten, Why: forgottenSaid}
	}
	return sidecar.Finding{Presence: sidecar.Withdrawn, Why: withdrawnSaid}
}

// Tell implements sidecar.Member.
func (n *Nomads) Tell(ctx context.Context, s sidecar.Standing) (sidecar.Reply, error) {
	v, again, err := n.ready.judge(ctx, n.Node, s)
	if err != nil {
		return sidecar.Reply{}, err
	}
	err = n.say(ctx, v)
	if !s.Open && errors.Is(err, consul.ErrNoCheck) {
		err = nil // there is nothing to keep them away from
	}
	return n.ready.reply(n.Node, s, v, again), err
}

// say gives the proxy our ready check where it has none, sets it, and then has others
// in the place of those that know less.
func (n *Nomads) say(ctx context.Context, v verdict) error {
	if n.complete {
		return n.set(ctx, v)
	}
	found, err := n.health(ctx, n.reg.ID)
	if err != nil {
		return err
	}
	if found == nil {
		return fmt.Errorf("Nomad has not registered %s: %w", n.reg.ID, consul.ErrNoCheck)
	}
	check := readyCheck(n.reg.ID, entry{status: v.status})
	if found.Checks[check.CheckID] == nil {
		if err := n.Consul.AddCheck(ctx, n.reg.ID, check); err != nil {
			return err
		}
	}
	if err := n.replace(ctx, found.Checks, v); err != nil {
		return err
	}
	n.ready.told = verdict{} // also new checks are told: Consul remembers the status of one that it knew
	if err := n.set(ctx, v); err != nil {
		return err
	}
	n.complete = true
	return nil
}

// replace puts checks of ours into the places of Nomad's, also into one that an attempt
// which failed half way has left empty.
func (n *Nomads) replace(ctx context.Context, checks map[string]*api.HealthCheck, v verdict) error {
	n.replaced = replacedChecks(checks)
	n.theirs = slices.DeleteFunc(n.theirs, func(id string) bool { return slices.Contains(n.replaced, id) })
	n.theirs = slices.Compact(slices.Sorted(slices.Values(append(n.theirs, nomadsChecks(checks)...))))
	for len(n.theirs) > 0 {
		id := n.theirs[0]
		put := n.Consul.AddCheck
		if checks[id] != nil {
			put = n.Consul.ReplaceCheck
		}
		if err := put(ctx, n.reg.ID, replacement(n.reg.ID, id, v)); err != nil {
			return err
		}
		n.replaced, n.theirs = append(n.replaced, id), n.theirs[1:]
	}
	return nil
}

// set tells a verdict to our checks: to the ready check also when it is the same, which
// renews it.
func (n *Nomads) set(ctx context.Context, v verdict) error {
	changed := n.ready.told.status != v.status
	if err := n.ready.set(ctx, n.Node, n.reg.ID, v); err != nil || !changed {
		return err
	}
	for _, id := range n.replaced {
		if err := n.Consul.SetStatus(ctx, id, v.status, replacedNote(n.reg.ID)); err != nil {
			n.ready.told, n.complete = verdict{}, false
			return err
		}
	}
	return nil
}

// mergeWindow is Envoy's update_merge_window, which Consul leaves as it is: that a
// host is gone is news that an Envoy takes at once; that one is not well can wait
// for others.
const mergeWindow = time.Second

// Leave implements sidecar.Member. The registration is Nomad's, which goes on with
// it when only the sidecar's task is restarted.
func (n *Nomads) Leave(ctx context.Context) (sidecar.Farewell, error) {
	if n.follower != nil {
		n.follower.Stop()
	}
	farewell := sidecar.Farewell{Said: "peers are kept away"}
	has, err := n.Consul.Has(ctx, n.reg.ID)
	if err != nil || !has[n.reg.ID] {
		return farewell, err
	}
	farewell.Heard = settle + mergeWindow
	return farewell, n.say(ctx, verdict{api.HealthCritical, "the sidecar is stopped"})
}
