package sidecar

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"nomad-driver-connect/envoy"
)

const (
	// renewInterval is how often it is looked whether what a sidecar is started
	// with has changed: central configuration, token, CA, binary.
	renewInterval = 15 * time.Second

	// renewIntervalMax is how long it may take after a failure, doubled each time.
	renewIntervalMax = 10 * time.Minute
)

// hotRestarts is supervise's view of them: one at a time, and none while an
// older generation is leaving, as Envoy would cut that short.
type hotRestarts struct {
	asked    string             // why one is wanted, and could not begin yet
	cancel   context.CancelFunc // of the one under way; nil when none is
	finished chan renewal
	left     chan generation // those that are gone
	due      *time.Timer     // when to look whether one is needed
	interval time.Duration
}

func newHotRestarts() hotRestarts {
	return hotRestarts{
		finished: make(chan renewal, 1),
		left:     make(chan generation, 1),
		due:      time.NewTimer(jitter(renewInterval)),
		interval: renewInterval,
	}
}

// jitter keeps the sidecars of a node from all asking at the same moment.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// hotRestart begins one as soon as that is possible; without a reason only
// when there turns out to be one.
func (s *supervisor) hotRestart(ctx context.Context, why string) {
	r := &s.restarts
	if why != "" {
		r.asked = why
	}
	leaving := s.running.Load().leaving
	if r.cancel != nil || s.away || len(leaving) > 0 {
		if why != "" {
			s.emit(fmt.Sprintf("A hot restart is to follow (%s) %s", why, s.obstacle(leaving)))
		}
		r.due.Reset(jitter(r.interval))
		return
	}
	why, r.asked = r.asked, ""
	s.background(ctx, func(ctx context.Context) renewal { return s.renew(ctx, why) })
}

// obstacle says what a hot restart waits for.
func (s *supervisor) obstacle(leaving []generation) string {
	switch {
	case len(leaving) > 0:
		return fmt.Sprintf("when generation %d has left", leaving[0].epoch)
	case s.away:
		return "when Consul has the sidecar again"
	}
	return "after the one under way"
}

func (s *supervisor) background(ctx context.Context, renew func(context.Context) renewal) {
	ctx, s.restarts.cancel = context.WithCancel(ctx)
	go func() { s.restarts.finished <- renew(ctx) }()
}

// hotRestarted takes the result.
func (s *supervisor) hotRestarted(ctx context.Context, result renewal) {
	r := &s.restarts
	r.cancel()
	r.cancel = nil
	switch {
	case result.next != nil:
		s.adopt(ctx, result)
		r.interval = renewInterval
	case result.err == nil: // there was no need
		r.interval = renewInterval
	case result.why == "": // nobody waits for it
		s.log.Debug("could not see whether a hot restart is needed", "proxy", s.proxyID(), "error", result.err)
	default:
		r.interval = min(2*r.interval, renewIntervalMax)
		s.emit(result.failure(s.current().epoch))
	}
	r.due.Reset(jitter(r.interval))
	if r.asked != "" {
		s.hotRestart(ctx, "")
	}
}

// abandon breaks a hot restart off; one that is through all the same counts.
func (s *supervisor) abandon(ctx context.Context) {
	r := &s.restarts
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	result := <-r.finished
	if result.next != nil {
		s.adopt(ctx, result)
	}
	if result.fatal {
		s.emit(result.failure(s.current().epoch))
	}
}

// adopt makes the next generation the current one.
func (s *supervisor) adopt(ctx context.Context, result renewal) {
	before, next := s.running.Load(), *result.next
	old := before.current
	s.running.Store(&generations{current: next, leaving: append(slices.Clone(before.leaving), old)})
	s.follow(ctx, old)
	s.publish(s.Status().Phase, s.Status().Exit)
	s.missed = 0 // those were the old one's
	s.emit(fmt.Sprintf("Hot restart %d (%s): Envoy %s serves after %d ms (pid %d); generation %d leaves within %s%s",
		next.epoch, result.why, next.version, time.Since(next.started).Milliseconds(), next.proc.ID.PID, old.epoch, s.spec.DrainTimeout, result.remark))
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if s.away {
		if s.Status().Phase == Draining { // which only the old one was told
			_ = s.tellEnvoy(ctx, "/healthcheck/fail")
		}
		return
	}
	if err := s.registrar.tell(ctx, next.proc.ID, s.open); err != nil {
		s.log.Warn("could not tell Consul of the new generation", "proxy", s.proxyID(), "error", err)
	}
}

// leaveGrace is what Envoy's timers may be late.
const leaveGrace = 5 * time.Second

// follow waits until a generation has left. Its successor ends it when its time
// is over. One that stays is ended.
func (s *supervisor) follow(ctx context.Context, g generation) {
	go func() {
		late := time.NewTimer(s.spec.DrainTimeout + leaveGrace)
		defer late.Stop()
		select {
		case <-g.proc.Done():
		case <-ctx.Done():
			return
		case <-late.C:
			if err := g.end(); err != nil {
				s.log.Error("could not end a generation that did not leave", "proxy", s.proxyID(), "generation", g.epoch, "error", err)
			}
		}
		go s.keepPlace(ctx, g.epoch)
		select {
		case s.restarts.left <- g:
		case <-ctx.Done():
		}
	}()
}

// keepPlace keeps that of a generation that may have left before its successor
// has told it to, for as long as the successor may still have something to say.
// (The next generation but one has a place of its own.)
func (s *supervisor) keepPlace(ctx context.Context, epoch int) {
	ctx, cancel := context.WithTimeout(ctx, s.spec.DrainTimeout+leaveGrace)
	defer cancel()
	if err := envoy.StandIn(ctx, s.spec.Run.Dir, epoch, s.spec.Run.User); err != nil {
		s.log.Warn("could not stand in for a generation that has left", "proxy", s.proxyID(), "generation", epoch, "error", err)
	}
}

// hasLeft forgets a generation, and begins what waited for its end.
func (s *supervisor) hasLeft(ctx context.Context, g generation) {
	now := s.running.Load()
	s.running.Store(&generations{current: now.current, leaving: slices.DeleteFunc(slices.Clone(now.leaving),
		func(old generation) bool { return old.epoch == g.epoch })})
	s.emit(fmt.Sprintf("Generation %d has left: it %s", g.epoch, s.explain(g.proc.Exit())))
	if s.restarts.asked != "" {
		s.hotRestart(ctx, "")
	}
}
