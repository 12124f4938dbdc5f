package sidecar

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
)

// nomadRegistrar is Nomad, whose own Connect registers the sidecar and removes it
// again. What is left to say is whether it is ready: Nomad has Consul connect to
// the listener every ten seconds, which holds a new sidecar critical for up to
// that long, and knows nothing of the app. The driver's own check goes in its place.
type nomadRegistrar struct{ *Sidecar }

// findRegistered waits for the registration that a bootstrap is for, and
// completes the specification by it.
func (s *Sidecar) findRegistered(ctx context.Context) error {
	id := s.spec.StandaloneID
	if id == "" {
		return nil // nobody has
	}
	var svc *api.AgentService
	found, err := awaitNomad(func() (_ bool, err error) {
		svc, err = s.consul.Service(ctx, id)
		return svc != nil, err
	})
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("Consul shows no service %s, for which %s is: Nomad was to register it; is Nomad connected to the same Consul agent?", id, s.spec.BootstrapPath)
	}
	return s.standFor(svc)
}

// standFor takes from a registration what the driver says in its own.
func (s *Sidecar) standFor(svc *api.AgentService) error {
	s.spec.Service = svc.Service
	if svc.Proxy != nil {
		s.spec.Proxy = *svc.Proxy
	}
	if s.spec.Proxy.Mode == api.ProxyModeTransparent && s.spec.Run.OwnUser {
		return Invalidf("user", "is one of the task's own, and a transparent proxy would have its own connections sent back to itself: Nomad excepts one user, 101 unless transparent_proxy { uid = … } says another; run it as that, with sidecar_task { user = \"101\" }")
	}
	if svc.Kind != api.ServiceKindConnectProxy {
		s.emit(fmt.Sprintf("Runs the %s %s, which Nomad has registered", svc.Kind, svc.Service))
		return nil
	}
	s.spec.Service = s.spec.Proxy.DestinationServiceName
	s.spec.StandaloneID = ""
	s.parent = &ParentService{ID: s.spec.Proxy.DestinationServiceID}
	s.spec.Listener = Port{Address: svc.Address, Number: svc.Port}
	if address, ok := s.spec.Proxy.Config["bind_address"].(string); ok {
		s.spec.Listener.Address = address
	}
	if port, ok := s.spec.Proxy.Config["bind_port"].(float64); ok {
		s.spec.Listener.Number = int(port)
	}
	s.emit(fmt.Sprintf("Stands before %s, as Nomad has registered it; public listener %s, for peers %s",
		s.spec.Service, s.spec.Listener, net.JoinHostPort(svc.Address, strconv.Itoa(svc.Port))))
	return nil
}

// tell keeps peers away until it is open, whatever Nomad's check says.
func (r nomadRegistrar) tell(ctx context.Context, _ process.Identity, open bool) error {
	svc, err := r.consul.Service(ctx, r.proxyID())
	switch {
	case err != nil:
		return err
	case svc == nil:
		return fmt.Errorf("Nomad has not registered %s", r.proxyID())
	case !open:
		return r.say(ctx, api.HealthCritical, "it is not ready yet")
	}
	return nil
}

func (r nomadRegistrar) sayReady(ctx context.Context) error {
	return r.say(ctx, api.HealthPassing, readyNote)
}

func (r nomadRegistrar) sayCrashed(ctx context.Context, why string) error {
	return r.say(ctx, api.HealthCritical, why)
}

// withdraw leaves the registration to Nomad, which goes on with it when only the
// sidecar's task is restarted.
func (r nomadRegistrar) withdraw(ctx context.Context) (bool, error) {
	svc, err := r.consul.Service(ctx, r.proxyID())
	if err != nil || svc == nil {
		return false, err
	}
	return true, r.say(ctx, api.HealthCritical, "the sidecar is stopped")
}

// heardWithin: that a host is gone is news that an Envoy takes at once; that one is
// not well can wait for others (update_merge_window).
func (nomadRegistrar) heardWithin() time.Duration { return settle + mergeWindow }

func (nomadRegistrar) withdrawn() string { return "peers are kept away, " }

// mend says it again when Nomad, or a Consul that has lost the check, has brought
// things back to what they were.
func (r nomadRegistrar) mend(ctx context.Context) (bool, error) {
	if r.Status().Phase != Serving {
		return false, nil
	}
	return false, r.sayReady(ctx)
}

// say gives the sidecar the driver's ready check where it has none, sets it, and
// then does away with the one that knows less.
func (r nomadRegistrar) say(ctx context.Context, status, note string) error {
	checks, err := r.consul.ServiceChecks(ctx, r.proxyID())
	if err != nil {
		return err
	}
	check := readyCheck(r.proxyID(), false)
	if checks[check.CheckID] == nil {
		if err := r.consul.AddCheck(ctx, r.proxyID(), check); err != nil {
			return err
		}
	}
	// Also of one that is new: Consul remembers what it was told, across restarts.
	if err := r.consul.SetStatus(ctx, check.CheckID, status, note); err != nil {
		return err
	}
	for id, other := range checks {
		if other.Type == "tcp" && strings.HasPrefix(id, "service:") { // as Consul calls those of a registration
			if err := r.consul.RemoveCheck(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}
