package sidecar

import (
	"context"
	"net/netip"
	"slices"

	"nomad-driver-connect/process"
)

// The sockets on which the current generation listens are kept open here, too: what
// comes in after a crash waits for the next generation instead of being refused.
// They are given up when connections are to be refused: at a stop, and with the
// task.

// keepSockets takes them anew. What cannot be kept costs connections in a crash, and
// nothing else.
func (s *supervisor) keepSockets(ctx context.Context) {
	if s.warming != nil || s.crash.prepared != nil || s.restarts.finished != nil {
		return // who answers may be another
	}
	asking, cancel := s.calm(ctx, s.Timing.Request)
	defer cancel()
	carrying := s.program.Control().Listeners(asking)
	if carrying == nil {
		return // what is kept still holds
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

// dropSockets gives them up.
func (s *supervisor) dropSockets() {
	for _, l := range s.kept {
		_ = l.File.Close()
	}
	s.kept = nil
}

// counted are the addresses at which the connections of a generation can be counted;
// all tells whether it accepts them nowhere else.
func counted(kept []process.Listener, ports []Port) (at []netip.AddrPort, all bool) {
	all = true
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
	return at, len(at) > 0
}
