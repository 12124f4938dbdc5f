package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
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
// is ready: Nomad has Consul connect to the listener every ten seconds, which holds a
// new sidecar critical for up to that long, and knows nothing of the app. Our own
// check goes in its place.
type Nomads struct {
	Node
	reg NomadsRegistration

	open     bool // it was told so last
	complete bool // our check is there, and Nomad's is not
	news     <-chan struct{}
	unfollow func()
}

// NewNomads makes the member of a registration of Nomad's.
func NewNomads(reg NomadsRegistration, node Node) *Nomads {
	return &Nomads{Node: node, reg: reg, unfollow: func() {}}
}

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

func (n *Nomads) follow() { n.news, n.unfollow = n.Watch.Follow(n.reg.ID) }

// News implements sidecar.Member.
func (n *Nomads) News() <-chan struct{} { return n.news }

// Look implements sidecar.Member: an update of the job, or a Consul that has lost
// the checks, brings things back to what Nomad says.
func (n *Nomads) Look(ctx context.Context) (sidecar.Finding, error) {
	found, err := n.health(ctx, n.reg.ID)
	if err != nil {
		return sidecar.Finding{}, err
	}
	if found == nil {
		n.complete = false
		switch {
		case !n.Watch.InTouch():
			return sidecar.Finding{Presence: sidecar.Forgotten}, nil
		case n.Watch.Forgot():
			return sidecar.Finding{Presence: sidecar.Forgotten, Why: forgottenSaid}, nil
		}
		return sidecar.Finding{Presence: sidecar.Withdrawn, Why: withdrawnSaid}, nil
	}
	ready := found.Checks[readyCheckID(n.reg.ID)]
	if ready == nil || (ready.Status == api.HealthPassing) != n.open || len(nomadsChecks(found.Checks)) > 0 {
		n.complete = false
		return sidecar.Finding{Presence: sidecar.Altered}, nil
	}
	return sidecar.Finding{}, nil
}

// Tell implements sidecar.Member.
func (n *Nomads) Tell(ctx context.Context, s sidecar.Standing) (sidecar.Reply, error) {
	n.open = s.Open
	err := n.say(ctx, s)
	if !s.Open && errors.Is(err, consul.ErrNoCheck) {
		err = nil // there is nothing to keep them away from
	}
	return sidecar.Reply{Again: renewal(n.Watch)}, err
}

// say gives the proxy our ready check where it has none, sets it, and then does
// away with the one that knows less.
func (n *Nomads) say(ctx context.Context, s sidecar.Standing) error {
	status, note := status(s)
	check := readyCheck(n.reg.ID, false)
	if n.complete {
		return n.Consul.SetStatus(ctx, check.CheckID, status, note)
	}
	found, err := n.health(ctx, n.reg.ID)
	if err != nil {
		return err
	}
	if found == nil {
		return fmt.Errorf("Nomad has not registered %s: %w", n.reg.ID, consul.ErrNoCheck)
	}
	if found.Checks[check.CheckID] == nil {
		if err := n.Consul.AddCheck(ctx, n.reg.ID, check); err != nil {
			return err
		}
	}
	// Also of one that is new: Consul remembers what it was told, across restarts.
	if err := n.Consul.SetStatus(ctx, check.CheckID, status, note); err != nil {
		return err
	}
	for _, id := range nomadsChecks(found.Checks) {
		if err := n.Consul.RemoveCheck(ctx, id); err != nil {
			return err
		}
	}
	n.complete = true
	return nil
}

// nomadsCheck is the name under which Nomad registers its check of the listener
// (command/agent/consul/connect.go of Nomad 1.11). The agent does not tell the type
// of a service's checks.
const nomadsCheck = "Connect Sidecar Listening"

// nomadsChecks are those of the listener that Nomad has registered, under the IDs
// that Consul gives.
func nomadsChecks(checks map[string]*api.HealthCheck) []string {
	var ids []string
	for id, check := range checks {
		if check.Name == nomadsCheck && strings.HasPrefix(id, "service:") {
			ids = append(ids, id)
		}
	}
	return ids
}

// mergeWindow is Envoy's update_merge_window, which Consul leaves as it is: that a
// host is gone is news that an Envoy takes at once; that one is not well can wait
// for others.
const mergeWindow = time.Second

// Leave implements sidecar.Member. The registration is Nomad's, which goes on with
// it when only the sidecar's task is restarted.
func (n *Nomads) Leave(ctx context.Context) (sidecar.Farewell, error) {
	n.unfollow()
	farewell := sidecar.Farewell{Said: "peers are kept away"}
	has, err := n.Consul.Has(ctx, n.reg.ID)
	if err != nil || !has[n.reg.ID] {
		return farewell, err
	}
	farewell.Heard = settle + mergeWindow
	return farewell, n.say(ctx, sidecar.Standing{Why: "the sidecar is stopped"})
}
