package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nomad-driver-connect/pace"
)

// A hot restart puts another generation in the place of the current one. First it
// is found out, beside, what it would be started with and whether there is a
// reason to (attempt): that reads files of the job, which may never answer. Then
// the supervisor starts it (replace), it is waited for until it has taken over, or
// ended (confirm), and the supervisor makes it the current one (promote). There is
// one at a time, and two older generations may be leaving: Envoys have names for three.
type restarts struct {
	asked    string // why one is wanted, and could not begin yet
	cancel   context.CancelFunc
	prepared chan attempt // of the one that is found out about; nil when there is none

	attempting chan struct{} // closed when nothing is found out about any more
	finished   chan outcome  // of the one that is waited for; nil when there is none
	left       chan departure
	later      later
	due        *time.Timer // when to look whether one is needed
	failed     pace.Backoff
	unseen     trouble // with what is needed to know whether one is
}

// maxLeaving is how many generations may be leaving at a time.
const maxLeaving = 2

// attempt is what was found out about a hot restart.
type attempt struct {
	why       string // empty: there is no reason
	postponed bool   // it is in no hurry
	next      *Launch
	err       error
}

// outcome is what came of one.
type outcome struct {
	why    string
	next   *generation // nil when it failed
	remark string      // on what is amiss with next all the same
	err    error
	fatal  bool // the current one had to be ended, too
}

func newRestarts(t Timing) restarts {
	idle := make(chan struct{})
	close(idle)
	return restarts{
		attempting: idle,

		left:   make(chan departure, 1),
		due:    time.NewTimer(pace.Jitter(t.Net)),
		failed: pace.Backoff{Min: t.Net / 20, Max: t.FailedMax},
	}
}

// busy tells that one is under way.
func (r *restarts) busy() bool { return r.prepared != nil || r.finished != nil }

// soon looks within d, or so, whether one is needed.
func (r *restarts) soon(d time.Duration) { r.due.Reset(pace.Jitter(d)) }

// restart begins one as soon as that is possible; without a reason only when there
// turns out to be one.
func (s *supervisor) restart(ctx context.Context, why string) {
	r := &s.restarts
	r.soon(s.Timing.Net)
	if why != "" {
		r.asked = why
	}
	if obstacle := s.obstacle(); obstacle != "" {
		if why != "" {
			s.Emit(fmt.Sprintf("A hot restart is to follow (%s) %s", why, obstacle))
		} else {
			r.soon(s.Timing.Config) // what has changed meanwhile has no other news
		}
		return
	}
	why, r.asked = r.asked, ""
	ctx, r.cancel = context.WithCancel(ctx)
	prepared := make(chan attempt, 1)
	r.prepared = prepared
	current, now := s.current(), s.isDue()
	attempting := make(chan struct{})
	r.attempting = attempting
	go func() {
		defer close(attempting)
		prepared <- s.attempt(ctx, current, why, now)
	}()
}

// obstacle says what a hot restart waits for; empty for nothing.
func (s *supervisor) obstacle() string {
	switch leaving := s.running.Load().leaving; {
	case s.isComing():
		return "when " + s.program.Name() + " is ready"
	case len(leaving) >= maxLeaving:
		return fmt.Sprintf("when generation %d has left", leaving[0].epoch)
	case len(leaving) > 0 && !s.hasRoom():
		return fmt.Sprintf("when generation %d has left, as the task's memory is too little for another one beside", leaving[0].epoch)
	case s.away:
		return "when the mesh has the sidecar again"
	case s.restarts.busy():
		return "after the one under way"
	}
	return ""
}

// attempt finds out what the next generation would be started with, and lets the
// program judge it. A change that is in no hurry may be put off.
func (s *Sidecar) attempt(ctx context.Context, current generation, why string, isDue bool) attempt {
	a := attempt{why: why}
	if a.next, a.err = s.program.Next(ctx, s.place(), current.epoch+1); a.err != nil {
		return a
	}
	if a.why == "" {
		reason, err := s.reason(ctx, current, a.next)
		a.why, a.err = reason.Why, err
		if a.postponed = a.why != "" && !reason.Pressing && !isDue; a.postponed || a.why == "" {
			return a
		}
	}
	if a.err = s.claimListeners(ctx, a.next); a.err == nil {
		a.err = a.next.Check(ctx)
	}
	return a
}

// reason says why the current generation should go; empty when it need not.
func (s *Sidecar) reason(ctx context.Context, current generation, next *Launch) (Reason, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	if errors.Is(s.program.Control().Alive(ctx), ErrClosed) {
		return Reason{Why: "it takes no questions since a hot restart failed", Pressing: true}, nil
	}
	return s.program.Outdated(current.proc, next)
}

// restarted takes the result.
func (s *supervisor) restarted(ctx context.Context, result outcome) {
	r := &s.restarts
	r.cancel()
	r.finished = nil
	if result.next != nil {
		s.promote(ctx, result)
		r.failed.Reset()
	} else {
		s.Emit(s.failure(result))
		r.due.Reset(r.failed.Next())
	}
	s.restartNext(ctx)
}

// restartNext begins what was asked for meanwhile.
func (s *supervisor) restartNext(ctx context.Context) {
	if s.restarts.asked != "" {
		s.restart(ctx, "")
	}
}

func (s *supervisor) failure(result outcome) string {
	if result.fatal {
		return fmt.Sprintf("Hot restart failed (%s) when it had taken the listeners over, so %s is started anew: %v", result.why, s.program.Name(), result.err)
	}
	return fmt.Sprintf("Hot restart failed (%s), generation %d serves on: %v", result.why, s.current().epoch, result.err)
}

// abandon breaks a hot restart off; one that is through all the same counts. What
// reads files is not waited for: it starts nothing.
func (s *supervisor) abandon(ctx context.Context) {
	r := &s.restarts
	if !r.busy() {
		return
	}
	r.cancel()
	r.prepared = nil
	if r.finished == nil {
		return
	}
	result := <-r.finished
	r.finished = nil
	if result.next != nil {
		s.promote(ctx, result)
	}
	if result.fatal {
		s.Emit(s.failure(result))
	}
}
