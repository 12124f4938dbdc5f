package sidecar

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// endReserve is the part of a stop's time that is kept for the program's own end.
const endReserve = time.Second

// drainUntil leaves time for the program to end after the drain, which itself may
// take no longer than its timeout.
func drainUntil(now, deadline time.Time, timeout time.Duration) time.Time {
	until := deadline.Add(-min(endReserve, deadline.Sub(now)/4))
	if latest := now.Add(timeout); latest.Before(until) {
		return latest
	}
	return until
}

// drain lets the connections from peers end: they are told to leave, new ones are
// refused once peers have heard that the proxy is withdrawn, and it returns when
// none is left, when the program is gone or at the end of its time. Outbound
// connections are left alone.
func (s *Sidecar) drain(ctx context.Context, until time.Time, heard time.Duration) {
	started := time.Now()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	// HTTP connections are told to close with their next answer.
	s.control(s.program.Control().Leaving(ctx, true))
	listeners := s.listeners(ctx)
	open := s.connections(ctx, listeners)
	s.Emit(fmt.Sprintf("Draining: %d connections from peers", open))
	if heard > 0 && !s.pause(ctx, heard) && ctx.Err() == nil {
		return
	}
	if ctx.Err() == nil {
		s.control(s.program.Control().Refuse(ctx, s.place().Public.Number != 0))
	}
	for {
		if open = s.connections(ctx, listeners); open == 0 {
			s.Emit(fmt.Sprintf("Drained in %d ms", time.Since(started).Milliseconds()))
			return
		}
		if !s.pause(ctx, s.Timing.Drain) {
			break
		}
	}
	if ctx.Err() != nil {
		s.Emit(fmt.Sprintf("Not drained: %d connections from peers are still open after %d ms, and the time is over (kill_timeout, drain.timeout)", open, time.Since(started).Milliseconds()))
	}
}

// control notes what the program did not take.
func (s *Sidecar) control(err error) {
	if err != nil {
		s.Log.Warn("could not tell the program what becomes of its connections", "proxy", s.place().ID, "error", err)
	}
}

// listeners are those whose connections are to end: the public one, or all where
// it is not known which that is.
func (s *Sidecar) listeners(ctx context.Context) []Address {
	if s.place().Public.Number == 0 {
		return s.program.Control().Listeners(ctx)
	}
	if public := s.publicListeners(ctx); len(public) > 0 {
		return public
	}
	return []Address{{"tcp", s.place().Public.HostPort()}}
}

// connections counts those that any generation has open on the listeners. The
// program knows its own; of one that does not answer, or of several generations,
// the kernel does. When they cannot be counted there are none to wait for.
func (s *Sidecar) connections(ctx context.Context, listeners []Address) int {
	if len(s.running.Load().leaving) == 0 {
		asking, cancel := context.WithTimeout(ctx, s.Timing.Request)
		defer cancel()
		if open, err := s.program.Control().Open(asking, listeners); err == nil {
			return open
		}
	}
	open := 0
	for _, listener := range listeners {
		local, err := netip.ParseAddrPort(listener.Address)
		if err == nil {
			var n int
			n, err = s.current().proc.Connections(local)
			open += n
		}
		if err != nil {
			s.Log.Warn("could not count the connections from peers", "proxy", s.place().ID, "listener", listener, "error", err)
		}
	}
	return open
}

// pause waits; false means that the program is gone or the time is over.
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
