package sidecar

import (
	"context"
	"time"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
)

// A registration that goes away while Envoy runs was either withdrawn by Nomad,
// which is about to stop the group, or lost by Consul. Nomad withdraws the
// sidecar some milliseconds before its parent, so a second later the parent
// tells which. Until then, and for as long as it is not there, connections from
// peers are told to leave, which can be taken back.
//
// A Consul that has lost all of its data has lost the parents, too, until Nomad
// brings them back. Nobody is told to leave then.

// restoreInterval is how often the parent of a withdrawn sidecar is looked for.
const restoreInterval = time.Second

// heard acts on the catalog's news of the sidecar. It tells whether restore is to
// see what becomes of it.
func (s *Sidecar) heard(ctx context.Context, present bool) bool {
	if !present {
		return s.withdrawn(ctx)
	}
	s.mend(ctx)
	return false
}

// mend sees to it that peers are routed to the sidecar after a restart of
// Consul's agent.
func (s *Sidecar) mend(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	mended, err := s.registrar.mend(ctx)
	if err != nil {
		s.log.Warn("could not see whether Consul routes peers to the sidecar", "proxy", s.proxyID(), "error", err)
	}
	if mended {
		s.emit("Consul took the service for critical after its restart, although it is well: told it better")
	}
}

// withdrawn hears of the catalog that the sidecar is gone. It tells whether
// restore is to see what becomes of it: not when the agent has it still.
func (s *Sidecar) withdrawn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	gone, err := s.isGone(ctx)
	switch {
	case err != nil:
		s.log.Warn("could not ask whether the sidecar is withdrawn, will ask again", "proxy", s.proxyID(), "error", err)
		return true
	case gone && s.watch.Forgot():
		s.emit("Consul has lost its data: the sidecar stays, and is registered again as soon as its service is")
	case gone:
		s.tellToLeave(ctx)
	}
	return gone
}

// isGone asks the agent, which knows before the catalog does.
func (s *Sidecar) isGone(ctx context.Context) (bool, error) {
	if s.proxyID() == "" {
		return false, nil // it never was there
	}
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	current, err := s.consul.Service(ctx, s.proxyID())
	return err == nil && current == nil, err
}

// tellToLeave begins the reversible part of the drain.
func (s *Sidecar) tellToLeave(ctx context.Context) {
	_ = s.tellEnvoy(ctx, "/healthcheck/fail")
	s.emit("Withdrawn from Consul: connections from peers are told to leave")
	s.publish(Draining, process.Exit{})
}

// restore registers the sidecar again when its parent is still, or again,
// wanted. It tells whether there is nothing more to see to.
func (s *Sidecar) restore(ctx context.Context, ready bool) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if s.Status().Phase != Draining {
		gone, err := s.isGone(ctx)
		if err != nil || !gone {
			return err == nil // the agent has it: the catalog was behind
		}
	}
	if s.parent != nil {
		parent, err := s.consul.Service(ctx, s.parent.ID)
		if err == nil && parent == nil && s.Status().Phase != Draining && !s.watch.Forgot() {
			s.tellToLeave(ctx)
		}
		if err != nil || parent == nil {
			return false
		}
	}
	return s.registerAgain(ctx, ready)
}

func (s *Sidecar) registerAgain(ctx context.Context, ready bool) bool {
	err := s.registrar.tell(ctx, s.current().proc.ID, ready)
	if err == nil && ready { // so that Consul remembers it
		err = s.registrar.sayReady(ctx)
	}
	if err != nil {
		s.log.Warn("could not register the sidecar again", "proxy", s.proxyID(), "error", err)
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateTimeout)
	defer cancel()
	if err := s.tellEnvoy(ctx, "/healthcheck/ok"); err != nil && !envoy.AdminClosed(err) {
		return false // else it would go on to tell connections to leave
	}
	s.emit("Registered again: Consul had lost the sidecar, and has its service")
	phase := Warming
	if ready {
		phase = Serving
	}
	s.publish(phase, process.Exit{})
	return true
}
