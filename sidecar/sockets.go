package sidecar

import (
	"context"
	"net/netip"
	"slices"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// The sockets on which the current generation listens are kept open here, too: what
// comes in after a crash waits for the next generation instead of being refused.
// They are given up when connections are to be refused: at a stop, and with the
// task.

// keepSockets takes them anew. What cannot be kept costs connections in a crash, and
// nothing else.
func (s *supervisor) keepSockets(ctx context.Context) {
	s.keepSoon = false
	s.clocks.keep.Reset(pace.Jitter(s.Timing.Net))
	if s.isComing() || s.restarts.finished != nil {
		s.keepAgain() // the one that answers may be another
		return
	}
	asking, cancel := s.calm(ctx, s.Timing.Request)
	defer cancel()
	carrying := s.program.Control().Listeners(asking)
	if carrying == nil {
		s.keepAgain() // what is kept may still hold
		return
	}
	found, err := s.current().proc.Listeners()
	if err != nil {
		s.Log.Debug("could not keep the sockets of the program, so a crash will refuse connections", "proxy", s.place().ID, "error", err)
		return
	}
	s.dropSockets()
	for _, l := range found {
		if slices.Contains(carrying, Address{l.Network, l.Address}) {
			s.kept = append(s.kept, l)
			continue
		}
		_ = l.File.Close()
	}
}

// keepAgain takes them anew soon: the program may listen elsewhere by now, and where it
// does not listen any more connections are to be refused.
func (s *supervisor) keepAgain() {
	if !s.keepSoon {
		s.keepSoon = true
		s.clocks.keep.Reset(pace.Jitter(s.Timing.Config))
	}
}

// dropSockets gives them up.
func (s *supervisor) dropSockets() {
	for _, l := range s.kept {
		_ = l.File.Close()
	}
	s.kept = nil
}

// counted are the addresses at which the connections of a generation can be counted;
// all tells whether it is known to accept them nowhere else.
func counted(kept []process.Listener, ports []Port) (at []netip.AddrPort, all bool) {
	all = len(kept) > 0
	for _, l := range kept {
		address, err := netip.ParseAddrPort(l.Address)
		if l.Network != "tcp" || err != nil {
			all = false
			continue
		}
		at = append(at, address)
	}
	if len(kept) > 0 {
		return at, all
	}
	for _, p := range ports {
		if address, err := netip.ParseAddrPort(p.HostPort()); err == nil {
			at = append(at, address)
		}
	}
	return at, false
}
