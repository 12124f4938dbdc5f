package sidecar

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

const (
	// settle is how long peers are given to hear from Consul that the sidecar
	// is gone, before it refuses new connections.
	settle = time.Second

	// mergeWindow is Envoy's update_merge_window, which Consul leaves as it is.
	mergeWindow = time.Second

	drainPoll = 50 * time.Millisecond

	// endReserve is the part of a stop's time that is kept for Envoy's own end.
	endReserve = time.Second
)

// drainUntil leaves time for Envoy to end after the drain, which itself may
// take no longer than its timeout.
func drainUntil(now, deadline time.Time, timeout time.Duration) time.Time {
	until := deadline.Add(-min(endReserve, deadline.Sub(now)/4))
	if latest := now.Add(timeout); latest.Before(until) {
		return latest
	}
	return until
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
	_ = s.tellEnvoy(ctx, "/healthcheck/fail")
	listeners := s.listeners(ctx)
	open := s.inbound(listeners)
	s.emit(fmt.Sprintf("Draining: %d connections from peers", open))
	if justWithdrawn && !s.pause(ctx, s.registrar.heardWithin()) {
		return
	}
	_ = s.tellEnvoy(ctx, s.drainPath())
	for {
		if open = s.inbound(listeners); open == 0 {
			s.emit(fmt.Sprintf("Drained in %d ms", time.Since(started).Milliseconds()))
			return
		}
		if !s.pause(ctx, drainPoll) {
			break
		}
	}
	if ctx.Err() != nil {
		s.emit(fmt.Sprintf("Not drained: %d connections from peers are still open after %d ms, and the time is over (kill_timeout, drain.timeout)", open, time.Since(started).Milliseconds()))
	}
}

// drainPath asks Envoy to refuse new connections: from peers only, where it is
// known which those are.
func (s *Sidecar) drainPath() string {
	if s.knowsListener() {
		return "/drain_listeners?inboundonly"
	}
	return "/drain_listeners"
}

// listeners are those whose connections are to end: the public one, and all of a
// gateway or of a proxy that is no sidecar.
func (s *Sidecar) listeners(ctx context.Context) []string {
	if s.knowsListener() {
		return []string{publicListener(s.spec).HostPort()}
	}
	return s.admin.Listeners(ctx)
}

// inbound counts the connections that any generation has open on the listeners.
// When they cannot be counted there are none to wait for.
func (s *Sidecar) inbound(listeners []string) int {
	open := 0
	for _, listener := range listeners {
		local, err := netip.ParseAddrPort(listener)
		if err == nil {
			var n int
			n, err = s.current().proc.Connections(local)
			open += n
		}
		if err != nil {
			s.log.Warn("could not count the connections from peers", "proxy", s.proxyID(), "listener", listener, "error", err)
		}
	}
	return open
}

func (s *Sidecar) tellEnvoy(ctx context.Context, path string) error {
	err := s.admin.Post(ctx, path)
	if err != nil {
		s.log.Warn("could not tell Envoy what becomes of its connections", "proxy", s.proxyID(), "request", path, "error", err)
	}
	return err
}

// pause waits; false means that Envoy is gone or the time is over.
func (s *Sidecar) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.current().proc.Done():
	case <-ctx.Done():
	}
	return false
}
