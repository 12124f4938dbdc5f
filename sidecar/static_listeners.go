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
	var now []generation
	if running := s.running.Load(); running != nil {
		now = running.all()
	}
	for _, l := range next.Listeners {
		if slices.ContainsFunc(now, func(g generation) bool { return g.listensAt(l) }) {
			continue
		}
		check := CheckPortFree
		if l.Shared || slices.ContainsFunc(now, func(g generation) bool { return g.mayHave(l.Number) }) {
			check = s.checkPortOpen
		}
		if err := check(ctx, s.spec.Run.Network, l.Port, l.WayOut); err != nil {
			return err
		}
	}
	return nil
}

// listensAt tells whether the next generation is given that by this one.
func (g generation) listensAt(l StaticListener) bool {
	return slices.ContainsFunc(g.listeners, func(own StaticListener) bool { return own.HostPort() == l.HostPort() })
}

// mayHave tells whether the port may be this generation's at another address. Then it is
// shared with the next one, as programs of one user do.
func (g generation) mayHave(port int) bool {
	return g.listeners == nil || slices.ContainsFunc(g.listeners, func(own StaticListener) bool { return own.Number == port })
}
