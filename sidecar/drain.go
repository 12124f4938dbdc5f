package sidecar

import (
	"context"
	"fmt"
	"time"
)

const (
	// settle is how long peers are given to hear from Consul that the sidecar
	// is gone, before it refuses new connections.
	settle = time.Second

	drainPoll = 50 * time.Millisecond

	// endReserve is the part of a stop's time that is kept for Envoy's own end.
	endReserve = time.Second
)

// drainUntil leaves time for Envoy to end after the drain.
func drainUntil(now, deadline time.Time) time.Time {
	return deadline.Add(-min(endReserve, deadline.Sub(now)/4))
}

// drain lets the connections from peers end: they are told to leave, new ones
// are refused once peers have heard that the sidecar is withdrawn, and it
// returns when none is left, when Envoy is gone or at the end of its time.
// Outbound connections are left alone.
func (s *Sidecar) drain(ctx context.Context, until time.Time, justWithdrawn bool) {
	started := time.Now()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	// HTTP connections are told to close with their next answer.
	s.tellEnvoy(ctx, "/healthcheck/fail")
	open, err := s.admin.inbound(ctx, s.spec.Listener.Number)
	if err != nil { // an Envoy that does not answer cannot be drained
		s.log.Warn("could not drain Envoy", "proxy", s.proxyID(), "error", err)
		return
	}
	s.emit(fmt.Sprintf("Draining: %d connections from peers", open))
	if justWithdrawn && !s.pause(ctx, settle) {
		return
	}
	s.tellEnvoy(ctx, "/drain_listeners?inboundonly")
	for {
		if open, err = s.admin.inbound(ctx, s.spec.Listener.Number); err == nil && open == 0 {
			s.emit(fmt.Sprintf("Drained in %d ms", time.Since(started).Milliseconds()))
			return
		}
		if !s.pause(ctx, drainPoll) {
			break
		}
	}
	if ctx.Err() != nil {
		s.emit(fmt.Sprintf("Not drained: %d connections from peers are still open after %d ms, and kill_timeout leaves no more time", open, time.Since(started).Milliseconds()))
	}
}

func (s *Sidecar) tellEnvoy(ctx context.Context, path string) {
	if err := s.admin.post(ctx, path); err != nil {
		s.log.Warn("could not tell Envoy to drain", "proxy", s.proxyID(), "request", path, "error", err)
	}
}

// pause waits; false means that Envoy is gone or the time is over.
func (s *Sidecar) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.proc.Done():
	case <-ctx.Done():
	}
	return false
}
