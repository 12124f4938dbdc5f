package sidecar

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// What peers hear of the proxy: whether they may come, and whether it is in the
// mesh at all.
//
// A registration that goes away while the program runs was either withdrawn, by
// somebody who is about to stop the group, or lost. Until that is known, and for
// as long as what it stands before is not there, connections from peers are told
// to leave, which can be taken back.

// standing is what the mesh is to know.
func (s *supervisor) standing() Standing {
	current := s.current()
	now := Standing{Process: current.proc.ID, Listeners: current.listeners}
	switch {
	case !s.admitted:
		now.Why = s.waits
	case s.strayed != "":
		now.Why = s.strayed
	default:
		now.Open, now.Why = !s.crash.shut, s.crash.why
	}
	return now
}

// tell tells the mesh what is so, again and again until it has it. Before peers
// are let in to a proxy that was found again nothing is told: the mesh knows how it
// was, and would take it for closed.
func (s *supervisor) tell(ctx context.Context) {
	if s.away || (s.attached && !s.admitted) {
		return // later
	}
	limit := s.Timing.Request
	if s.crash.why != "" {
		limit = s.Timing.News / 4 // the next generation goes before
	}
	asking, cancel := s.calm(ctx, limit)
	defer cancel()
	standing := s.standing()
	reply, err := s.member.Tell(asking, standing)
	s.telling.note(s.Sidecar, err, "tell the mesh how it is")
	if s.untold = err != nil; s.untold {
		s.clocks.look.Reset(s.retry.Next()) // what it is told of may be gone
		return
	}
	s.retry.Reset()
	if s.looking.since.IsZero() { // else a question of before has no answer yet
		s.clocks.look.Stop()
	}
	if s.clocks.tell.Stop(); reply.Again > 0 {
		s.clocks.tell.Reset(pace.Jitter(reply.Again))
	}
	if standing.Open && reply.Held == "" && s.Status().Phase == Warming {
		s.serves()
	}
}

// serves says that peers may come.
func (s *supervisor) serves() {
	s.publish(Serving, process.Exit{})
	switch {
	case s.attached:
		s.Emit(fmt.Sprintf("Found %s again (pid %d), serving", s.program.Name(), s.current().proc.ID.PID))
	case s.place().App != Address{}:
		s.Emit("Serving: the local service accepts connections at " + s.appAt())
	}
}

// look asks what has become of the proxy in the mesh, and acts on it.
func (s *supervisor) look(ctx context.Context) {
	asking, cancel := s.calm(ctx, s.Timing.Request)
	defer cancel()
	found, err := s.member.Look(asking)
	if s.looking.note(s.Sidecar, err, "ask the mesh what has become of it"); err != nil {
		s.clocks.look.Reset(s.retry.Next())
		return
	}
	s.clocks.look.Stop()
	switch found.Presence {
	case Moved:
		s.move(ctx, found)
		s.back(ctx, "")
		s.tell(ctx)
	case Present, Altered:
		s.back(ctx, "")
		if found.Presence == Altered || s.untold {
			s.tell(ctx)
		}
	case Lost:
		s.bringBack(ctx, found.Why)
	case Withdrawn:
		s.tellToLeave(ctx, found.Why)
		s.goAway()
	case Forgotten:
		if found.Why != "" && s.forgotten != found.Why {
			s.Emit(found.Why)
		}
		s.forgotten = found.Why
		s.goAway()
	}
}

// move goes on from another place. An app that is elsewhere by now must accept a
// connection there.
func (s *supervisor) move(ctx context.Context, found Finding) {
	before := s.place()
	s.at.Store(&found.Place)
	s.publish(s.Status().Phase, process.Exit{})
	if found.Place.ID == before.ID && found.Place.App == before.App {
		return // it was told before, and the mesh did not take it yet
	}
	s.Emit(found.Why)
	s.restarts.soon(0)
	if s.admitted && found.Place.App != before.App && !s.appAnswers(ctx) {
		s.admitted, s.waits = false, s.noAnswer()
		s.clocks.app.Reset(s.probing.Next())
	}
	s.lookAtAddress(ctx)
}

// goAway begins to look what becomes of a proxy that is gone.
func (s *supervisor) goAway() {
	s.away = true
	s.clocks.tell.Stop()
	s.clocks.look.Reset(s.Timing.Away)
}

// tellToLeave begins the reversible part of the drain.
func (s *supervisor) tellToLeave(ctx context.Context, why string) {
	if s.Status().Phase == Draining {
		return
	}
	_ = s.leaving(ctx, true) // the log has it
	s.Emit(why + ": connections from peers are told to leave")
	s.publish(Draining, process.Exit{})
}

// leaving tells the program what becomes of the connections from peers.
func (s *supervisor) leaving(ctx context.Context, yes bool) error {
	ctx, cancel := s.calm(ctx, s.Timing.Request)
	defer cancel()
	err := s.program.Control().Leaving(ctx, yes)
	s.control(err)
	return err
}

// bringBack tells the mesh again of a proxy that it has lost.
func (s *supervisor) bringBack(ctx context.Context, why string) {
	s.away, s.untold = false, true
	if s.tell(ctx); s.untold { // not yet, or not before peers may come
		s.goAway()
		return
	}
	s.away = true
	s.back(ctx, why)
}

// back takes back that the proxy was away. why is said when it had been lost.
func (s *supervisor) back(ctx context.Context, why string) {
	if !s.away {
		return
	}
	if s.Status().Phase == Draining {
		if err := s.leaving(ctx, false); err != nil && !errors.Is(err, ErrClosed) {
			s.goAway() // else connections would go on to be told to leave
			return
		}
		phase := Warming
		if s.admitted {
			phase = Serving
		}
		s.publish(phase, process.Exit{})
	}
	s.away, s.forgotten = false, ""
	if why != "" {
		s.Emit(why)
	}
	s.restartNext(ctx)
}
