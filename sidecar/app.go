package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"time"
)

// The app is the local service that the proxy stands before: peers are let in when it
// accepts connections.

// probe lets peers in as soon as the app accepts a connection.
func (s *supervisor) probe(ctx context.Context) {
	if s.admitted || s.warming != nil {
		return
	}
	if !s.appAnswers(ctx) {
		if why := s.noAnswer(); s.waits != why {
			s.waits = why
			s.tell(ctx)
		}
		pause := s.probing.Next()
		if time.Since(s.started) < s.Timing.Silence { // it is about to come, and peers wait for it
			pause = min(pause, 2*s.Timing.ProbeMin)
		}
		s.clocks.app.Reset(pause)
		return
	}
	s.admitted, s.untold = true, true
	s.look(ctx) // it may be gone: before it served, or before it was found again
}

// appAt is where the app is to be, as the user knows it.
func (s *Sidecar) appAt() string {
	app := s.place().App
	if app.Network == "unix" && !filepath.IsAbs(app.Address) {
		return filepath.Join(s.spec.Run.Dir, app.Address)
	}
	return app.Address
}

func (s *supervisor) noAnswer() string {
	if errors.Is(s.refusal, fs.ErrPermission) {
		return s.shutOut()
	}
	return "the local service does not accept connections at " + s.appAt() + " yet"
}

// appAnswers says whether the app accepts a connection. Without one there is
// nothing to wait for.
func (s *supervisor) appAnswers(ctx context.Context) bool {
	if s.place().App == (Address{}) {
		return true
	}
	ctx, cancel := s.calm(ctx, s.Timing.News/2)
	defer cancel()
	s.refusal = s.connect(ctx, s.localAddress())
	return s.refusal == nil
}

// shutOut tells of a socket that the program's user may not connect to, which is a
// matter of the app's and not of time.
func (s *supervisor) shutOut() string {
	return fmt.Sprintf("the local service does not let %s in at %s, as its user %s has no right to the socket (%v); have the app make the socket for everybody (mode 0666) in a directory that local_service_socket_group closes to others",
		s.program.Name(), s.appAt(), s.User().Name, s.refusal)
}

// sayWhoIsSilent tells the user of a local service that nobody has heard of.
func (s *supervisor) sayWhoIsSilent() {
	if s.warming != nil { // one thing after the other
		s.clocks.silence.Reset(s.Timing.Silence)
		return
	}
	if s.admitted || s.attached {
		return
	}
	if errors.Is(s.refusal, fs.ErrPermission) {
		s.Emit("Peers are kept away: " + s.shutOut())
		return
	}
	s.Emit(fmt.Sprintf("Nobody accepts connections at %s, where the local service is to be, %s after the start%s: peers are kept away until somebody does",
		s.appAt(), s.Timing.Silence, s.whereInstead()))
}

// whereInstead says where the other tasks listen, and what to do about it.
func (s *supervisor) whereInstead() string {
	if s.AppListens == nil {
		return ""
	}
	listens := s.AppListens()
	if len(listens) == 0 {
		return ", and the group's other tasks listen nowhere yet"
	}
	wanted, _ := netip.ParseAddrPort(s.place().App.Address)
	for _, at := range listens {
		if at.Port() == wanted.Port() {
			return fmt.Sprintf(", but the group's tasks listen at %s; if that is the service, set local_service_address = %q in sidecar_service.proxy", at, at.Addr())
		}
	}
	return fmt.Sprintf(", but the group's tasks listen at %s; if that is the service, set local_service_address and local_service_port in sidecar_service.proxy", listens[0])
}
