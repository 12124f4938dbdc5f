package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
)

// registrar is whoever has the sidecar in Consul: this driver, Nomad, or nobody.
type registrar interface {
	// tell says which process it is, zero before Envoy runs, and whether peers
	// may come.
	tell(ctx context.Context, id process.Identity, open bool) error

	// sayReady lets peers in, and is repeated every readyInterval.
	sayReady(ctx context.Context) error

	// sayCrashed keeps peers away.
	sayCrashed(ctx context.Context, why string) error

	// withdraw keeps peers away for good; it tells whether there was anything to
	// withdraw, so that peers have yet to hear of it.
	withdraw(ctx context.Context) (bool, error)

	// heardWithin is how long peers may take to hear of that.
	heardWithin() time.Duration

	// withdrawn is what became of that, for the user: "…, " or nothing.
	withdrawn() string

	// mend lets peers in where a restart of Consul's agent keeps them away.
	mend(ctx context.Context) (bool, error)
}

// ownRegistrar is this driver.
type ownRegistrar struct{ *Sidecar }

// register is the first word of the sidecar to Consul.
func (s *Sidecar) register(ctx context.Context) error {
	current, err := s.consul.Service(ctx, s.proxyID())
	if err != nil {
		return err
	}
	if current != nil && current.Meta[metaTask] != s.spec.Meta[metaTask] {
		return Invalidf("service", "the task %q of this group is the sidecar of %q already", current.Meta[metaTask], s.spec.Service)
	}
	// A failed request may have been carried out all the same.
	s.undo.push(s.withdraw)
	if err := s.registrar.tell(ctx, process.Identity{}, false); err != nil {
		var rejected *consul.RejectedError
		if errors.As(err, &rejected) {
			return Invalidf("sidecar_service", "%v", err)
		}
		return err
	}
	s.emit(fmt.Sprintf("Registered %s in Consul, public listener %s", s.spec.Service+proxySuffix, s.spec.Listener))
	return nil
}

// tell registers; checks that are not named go.
func (r ownRegistrar) tell(ctx context.Context, id process.Identity, open bool) error {
	return r.consul.Register(ctx, registration(r.spec, r.parent, id, open), api.ServiceRegisterOpts{ReplaceExistingChecks: true})
}

func (r ownRegistrar) sayReady(ctx context.Context) error {
	return r.consul.SetStatus(ctx, readyCheckID(r.proxyID()), api.HealthPassing, readyNote)
}

func (r ownRegistrar) sayCrashed(ctx context.Context, why string) error {
	return r.consul.SetStatus(ctx, readyCheckID(r.proxyID()), api.HealthCritical, why)
}

func (r ownRegistrar) withdraw(ctx context.Context) (bool, error) {
	return r.consul.Deregister(ctx, r.proxyID())
}

func (r ownRegistrar) mend(ctx context.Context) (bool, error) {
	if r.parent == nil {
		return false, nil
	}
	return r.consul.MendAlias(ctx, r.proxyID(), aliasCheck(r.proxyID(), r.parent.ID))
}

func (ownRegistrar) heardWithin() time.Duration { return settle }

func (ownRegistrar) withdrawn() string { return "withdrawn from Consul, " }

// noRegistrar is that of a proxy that Consul knows nothing of.
type noRegistrar struct{}

func (noRegistrar) tell(context.Context, process.Identity, bool) error { return nil }
func (noRegistrar) sayReady(context.Context) error                     { return nil }
func (noRegistrar) sayCrashed(context.Context, string) error           { return nil }
func (noRegistrar) withdraw(context.Context) (bool, error)             { return false, nil }
func (noRegistrar) heardWithin() time.Duration                         { return 0 }
func (noRegistrar) withdrawn() string                                  { return "" }
func (noRegistrar) mend(context.Context) (bool, error)                 { return false, nil }
