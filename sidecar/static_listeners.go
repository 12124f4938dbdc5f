package sidecar

import (
	"context"
	"slices"
)

// StaticListener is a port that a program listens on by what it is started with, whatever
// the mesh says. Nobody has seen to it that the port is free.
type StaticListener struct {
	Port          // its label says which setting has it, and where that is from
	Key    string // of the setting
	Made   bool   // the number was chosen for this proxy alone, so nobody knows it who is not told
	Shared bool   // others of the same user may have it, too: who wrote that may want it
	WayOut string // what to do when somebody else has the port, as a clause
}

// claimListeners proves that nobody else holds a port that the next generation listens on.
// One that is there already hands its own over.
func (s *Sidecar) claimListeners(ctx context.Context, next *Launch) error {
	var held []StaticListener
	if now := s.running.Load(); now != nil {
		for _, g := range now.all() {
			held = append(held, g.listeners...)
		}
	}
	for _, l := range next.Listeners {
		if slices.ContainsFunc(held, func(h StaticListener) bool { return h.HostPort() == l.HostPort() }) {
			continue
		}
		check := CheckPortFree
		if l.Shared {
			check = s.checkPortOpen
		}
		if err := check(ctx, s.spec.Run.Network, l.Port, l.WayOut); err != nil {
			return err
		}
	}
	return nil
}
