package sidecar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nomad-driver-connect/process"
)

// replace starts the next generation, if there is a reason to.
func (s *supervisor) replace(ctx context.Context, a attempt) {
	r := &s.restarts
	r.cancel()
	r.prepared = nil
	switch {
	case a.postponed:
		s.postpone(a.why)
		s.restartNext(ctx)
		return
	case a.why == "": // nobody waits for it
		if a.err == nil && r.later.why != "" {
			r.later = later{}
			s.Emit("No hot restart any more: what had changed is as before")
		}
		if r.unseen.note(s.Sidecar, a.err, "see whether a hot restart is needed"); a.err != nil {
			r.due.Reset(r.failed.Next())
		} else {
			r.failed.Reset()
		}
		s.restartNext(ctx)
		return
	case a.err != nil:
		s.restarted(ctx, outcome{why: a.why, err: a.err})
		return
	}
	listened := s.listened(ctx)
	r.later = later{}
	next, err := s.launch(a.next, s.current().epoch+1)
	if err != nil {
		s.restarted(ctx, outcome{why: a.why, err: err})
		return
	}
	s.await(ctx, a.why, func(ctx context.Context) outcome { return s.confirm(ctx, next, a.next, listened) })
}

// resume waits for a generation that an earlier life of this program started.
func (s *supervisor) resume(ctx context.Context, next generation) {
	listened := s.listened(ctx)
	s.await(ctx, "begun before the plugin was restarted", func(ctx context.Context) outcome {
		result := s.confirm(ctx, next, nil, listened)
		if result.next != nil {
			result.next.version = s.version(ctx)
		}
		return result
	})
}

func (s *supervisor) await(ctx context.Context, why string, confirm func(context.Context) outcome) {
	ctx, s.restarts.cancel = context.WithCancel(ctx)
	finished := make(chan outcome, 1)
	s.restarts.finished = finished
	go func() {
		result := confirm(ctx)
		result.why = why
		finished <- result
	}()
}

// confirm waits until a generation has taken over, and kills it when it does not. A
// generation that died just after its takeover leaves a port on which nobody listens:
// then the current one is killed, too, as after a crash.
func (s *Sidecar) confirm(ctx context.Context, next generation, started *Launch, listened bool) outcome {
	remark, err := s.awaitReady(ctx, next, started)
	if err == nil {
		return outcome{next: &next, remark: remark}
	}
	ctx = context.WithoutCancel(ctx) // of a hot restart that is abandoned nothing is left either
	if s.tookOver(ctx, next) {
		return outcome{next: &next}
	}
	err = errors.Join(err, s.end(ctx, next))
	if !listened || s.listened(ctx) {
		return outcome{err: err}
	}
	return outcome{fatal: true, err: errors.Join(err, s.end(ctx, s.current()))}
}

// listened tells whether the current generation listens for peers; it does not, where
// it is not known which listener that is. Where its sockets may not be seen, it is
// enough that somebody does.
func (s *Sidecar) listened(ctx context.Context) bool {
	public := s.place().Public
	if public.Number == 0 {
		return false
	}
	found, err := s.current().proc.Listeners()
	if err != nil {
		return CheckPortFree(ctx, s.spec.Run.Network, public, "") != nil
	}
	listens := false
	for _, l := range found {
		listens = listens || s.isPublic(Address{l.Network, l.Address})
		_ = l.File.Close()
	}
	return listens
}

// tookOver asks a generation that runs for the last time.
func (s *Sidecar) tookOver(ctx context.Context, g generation) bool {
	select {
	case <-g.proc.Done():
		return false
	default:
	}
	now, err := s.progress(ctx, g)
	return err == nil && now.TookOver
}

// version is that of the program that answers now.
func (s *Sidecar) version(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	return s.program.Control().Version(ctx)
}

// promote makes the next generation the current one.
func (s *supervisor) promote(ctx context.Context, result outcome) {
	before, next := s.running.Load(), *result.next
	old := before.current
	s.running.Store(&generations{current: next, leaving: append(slices.Clone(before.leaving), old)})
	s.follow(ctx, old)
	s.keepSockets(ctx)
	s.publish(s.Status().Phase, process.Exit{})
	s.missed = 0 // those were the old one's
	s.Emit(fmt.Sprintf("Hot restart %d (%s): %s %s serves after %d ms (pid %d); generation %d leaves within %s%s",
		next.epoch, result.why, s.program.Name(), next.version, time.Since(next.started).Milliseconds(), next.proc.ID.PID, old.epoch, s.spec.DrainTimeout, result.remark))
	if s.Status().Phase == Draining { // which only the old one was told
		_ = s.leaving(ctx, true)
	}
	s.tell(ctx)
}

// hasLeft forgets a generation, and begins what waited for its end.
func (s *supervisor) hasLeft(ctx context.Context, d departure) {
	g := d.generation
	now := s.running.Load()
	s.running.Store(&generations{current: now.current, leaving: slices.DeleteFunc(slices.Clone(now.leaving),
		func(old generation) bool { return old.epoch == g.epoch })})
	s.Emit(fmt.Sprintf("Generation %d has left: it %s; %s", g.epoch, s.explain(g), d.cut))
	s.restartNext(ctx)
}
