package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
)

// nomadRegistrar is Nomad, whose own Connect registers the sidecar and removes it
// again. What is left to say is whether it is ready: Nomad has Consul connect to
// the listener every ten seconds, which holds a new sidecar critical for up to
// that long. That check is made one which the driver sets.
type nomadRegistrar struct{ *Sidecar }

// findRegistered waits for the registration that a bootstrap is for, and
// completes the specification by it.
func (s *Sidecar) findRegistered(ctx context.Context) error {
	id := s.spec.StandaloneID
	if id == "" {
		return nil // nobody has
	}
	deadline := time.Now().Add(parentWait)
	tick := time.NewTicker(parentPoll)
	defer tick.Stop()
	for {
		svc, err := s.consul.Service(ctx, id)
		if err != nil {
			return err
		}
		if svc != nil {
			s.standFor(svc)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("Consul shows no service %s, for which %s is: Nomad was to register it; is Nomad connected to the same Consul agent?", id, s.spec.BootstrapPath)
		}
		<-tick.C
	}
}

// standFor takes from a registration what the driver says in its own.
func (s *Sidecar) standFor(svc *api.AgentService) {
	s.spec.Service = svc.Service
	if svc.Proxy != nil {
		s.spec.Proxy = *svc.Proxy
	}
	if svc.Kind != api.ServiceKindConnectProxy {
		s.emit(fmt.Sprintf("Runs the %s %s, which Nomad has registered", svc.Kind, svc.Service))
		return
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
}

// tell has nothing to add, but sees whether Nomad has registered the sidecar.
func (r nomadRegistrar) tell(ctx context.Context, _ process.Identity, _ bool) error {
	svc, err := r.consul.Service(ctx, r.proxyID())
	if err == nil && svc == nil {
		err = fmt.Errorf("Nomad has not registered %s", r.proxyID())
	}
	return err
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

// mend says it again when Nomad, or a Consul that has lost its checks, has brought
// the check back that knows better.
func (r nomadRegistrar) mend(ctx context.Context) (bool, error) {
	if r.Status().Phase != Serving {
		return false, nil
	}
	return false, r.sayReady(ctx)
}

// say sets the checks of the sidecar's listener. There is none when the job has
// disabled it, nor with gateways.
func (r nomadRegistrar) say(ctx context.Context, status, note string) error {
	checks, err := r.consul.ServiceChecks(ctx, r.proxyID())
	if err != nil {
		return err
	}
	var errs []error
	for _, check := range checks {
		switch check.Type {
		case "tcp":
			errs = append(errs, r.consul.ReplaceCheck(ctx, r.proxyID(), &api.AgentServiceCheck{
				CheckID: check.CheckID, Name: check.Name, Notes: readyNotes, TTL: readyTTL.String(), Status: status,
			}))
		case "ttl":
			errs = append(errs, r.consul.SetStatus(ctx, check.CheckID, status, note))
		}
	}
	return errors.Join(errs...)
}
