package sidecar

import (
	"context"
	"time"

	"nomad-driver-connect/process"
)

// A registration that goes away while Envoy runs was either withdrawn by Nomad,
// which is about to stop the group, or lost by Consul. Nomad withdraws the
// sidecar some milliseconds before its parent, so a second later the parent
// tells which. Until then, and for as long as it is not there, connections from
// peers are told to leave, which can be taken back.

// restoreInterval is how often the parent of a withdrawn sidecar is looked for.
const restoreInterval = time.Second

// withdrawn begins the reversible part of the drain, when the agent confirms
// what its catalog said.
func (s *Sidecar) withdrawn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	current, err := s.consul.Service(ctx, s.proxyID())
	if err != nil || current != nil {
		return false
	}
	s.tellEnvoy(ctx, "/healthcheck/fail")
	s.emit("Withdrawn from Consul: connections from peers are told to leave")
	s.publish(Draining, process.Exit{})
	return true
}

// restore registers the sidecar again when its parent is still, or again,
// wanted. It tells whether it did.
func (s *Sidecar) restore(ctx context.Context, ready bool) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if s.parent != nil {
		if parent, err := s.consul.Service(ctx, s.parent.ID); err != nil || parent == nil {
			return false
		}
	}
	err := s.tell(ctx, registration(s.spec, s.parent, s.current().proc.ID, ready))
	if err == nil && ready { // so that Consul remembers it
		err = s.sayReady(ctx)
	}
	if err != nil {
		s.log.Warn("could not register the sidecar again", "proxy", s.proxyID(), "error", err)
		return false
	}
	s.tellEnvoy(ctx, "/healthcheck/ok")
	s.emit("Registered again: Consul had lost the sidecar, but not its service")
	phase := Warming
	if ready {
		phase = Serving
	}
	s.publish(phase, process.Exit{})
	return true
}
