package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"nomad-driver-connect/process"
)

// ErrForgotten is Attach's answer when neither a process nor its directory is
// there any more: the sidecar was destroyed before, or the machine restarted.
var ErrForgotten = errors.New("neither its process nor its run directory is there any more")

// attachTimeout bounds what is asked of a program that is found again.
const attachTimeout = 2 * time.Second

// Attach finds a sidecar again that an earlier life of this program started, with
// all of its generations; ctx ends the supervision. A sidecar that has ended in the meantime is Exited at once.
func Attach(ctx context.Context, spec Spec, state State, member Member, program Program, host Host) (*Sidecar, error) {
	s := newSidecar(spec, member, program, host)
	s.attached, s.started = true, state.StartedAt
	s.at.Store(&state.Place)
	// A younger one may not be: its first life waited for that.
	s.ready = time.Since(state.StartedAt) > spec.ReadyTimeout
	s.oomKills.Store(state.OOMKills)
	begun, err := s.find(ctx, state)
	if err != nil {
		return nil, err
	}
	s.member.Rejoin(s.place())
	s.undo.push(s.leave)
	s.undo.push(s.removeRunDir)
	s.undo.push(s.removeProgram)
	s.undo.push(s.kill)
	s.publish(Warming, process.Exit{})
	go s.supervise(ctx, begun)
	return s, nil
}

// find looks for the generations. It gives one that had begun to take over
// when nobody watched any more, and has not done so yet.
func (s *Sidecar) find(ctx context.Context, state State) (begun *generation, err error) {
	found, err := s.findGenerations()
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if _, err := os.Stat(s.spec.Run.Dir); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrForgotten
		}
		s.running.Store(&generations{current: generation{proc: process.Gone(state.Process), version: state.Version}})
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	last := len(found) - 1
	s.program.Recover(found[last].proc)
	if last > 0 && !s.tookOver(ctx, found[last]) {
		begun, last = &found[last], last-1
		s.program.Recover(found[last].proc)
	}
	now := generations{current: found[last], leaving: found[:last]}
	if now.current.version = state.Version; now.current.epoch > 0 && begun == nil {
		now.current.version = s.version(ctx)
	}
	s.running.Store(&now)
	for _, g := range found {
		s.Log.Debug("found a generation of an earlier life", "proxy", s.place().ID, "generation", g.epoch, "pid", g.proc.ID.PID, "serves", g.epoch == now.current.epoch)
	}
	if len(found) == 1 && now.current.epoch > 0 && !s.serving(ctx, now.current) {
		// The one before died when this one had not taken over yet: it never will.
		return nil, s.end(context.WithoutCancel(ctx), now.current)
	}
	return begun, nil
}

// serving tells whether a generation has the listeners: somebody has, and there is
// no other.
func (s *Sidecar) serving(ctx context.Context, g generation) bool {
	if s.place().Public.Number != 0 {
		return s.listened(ctx)
	}
	return s.tookOver(ctx, g)
}
