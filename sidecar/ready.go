package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"nomad-driver-connect/pace"
)

// awaitReady returns when a generation is of use to the app, or says what is
// missing. After a takeover there is no way back, so anything still missing becomes a
// remark instead of an error. next is what it was
// started with; nil when that is not known.
func (s *Sidecar) awaitReady(ctx context.Context, g generation, next *Launch) (remark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyTimeout)
	defer cancel()
	missing := s.program.Name() + " has not answered yet"
	// Later the supervisor looks what becomes of the proxy.
	starting, looked := s.status.Load() == nil, time.Now()
	pause := pace.Backoff{Min: s.Timing.ReadyMin, Max: s.Timing.ReadyMax}
	for {
		now, err := s.progress(ctx, g)
		if err == nil {
			lacks := now.Missing
			if lacks == "" {
				lacks = s.unreachable(ctx)
			}
			if lacks == "" || ctx.Err() == nil { // there was time to find out
				missing = lacks
			}
		}
		timer := time.NewTimer(pause.Next())
		select {
		case <-g.proc.Done():
			return "", s.diedEarly(ctx, g, next)
		default:
		}
		switch {
		case err == nil && missing == "":
			return "", nil
		case err == nil && now.TookOver && (g.epoch > 0 || s.attached): // it serves, whatever Consul says by now
			return "; " + missing, nil
		}
		select {
		case <-g.proc.Done():
			return "", s.diedEarly(ctx, g, next)
		case <-ctx.Done():
			return "", fmt.Errorf("%s is not ready after %s: %s%s", s.program.Name(), s.spec.ReadyTimeout, missing, s.waitsFor(ctx))
		case <-timer.C:
		}
		timer.Stop()
		if starting && time.Since(looked) > s.Timing.Away {
			if why := s.gaveUp(ctx); why != "" {
				return "", fmt.Errorf("gave up before %s was ready: %s; %s", s.program.Name(), why, missing)
			}
			looked = time.Now()
		}
	}
}

// progress asks how far a generation has come. A question that was cut off says
// nothing of that: the generation before may hang, and hold it up.
func (s *Sidecar) progress(ctx context.Context, g generation) (Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	return s.program.Control().Progress(ctx, g.epoch)
}

// gaveUp says that nobody wants the proxy any more; empty when somebody does.
func (s *Sidecar) gaveUp(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	if found, err := s.member.Look(ctx); err == nil && found.Presence == Withdrawn {
		return found.Why
	}
	return ""
}

// waitsFor names what the program still waits for, if anything.
func (s *Sidecar) waitsFor(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Timing.Request)
	defer cancel()
	if names := s.program.Control().Waits(ctx); names != "" {
		return " (" + names + ")"
	}
	return ""
}

// diedEarly asks the program itself what it did not like.
func (s *Sidecar) diedEarly(ctx context.Context, g generation, next *Launch) error {
	exit := s.explain(g)
	err := fmt.Errorf("%s %s before it was ready", s.program.Name(), exit)
	if exit.OOMKilled {
		return fmt.Errorf("%w; give the task more with resources { memory = … }", err)
	}
	if next == nil {
		return err
	}
	if reason := next.Check(ctx); reason != nil {
		return fmt.Errorf("%w; %w", err, reason)
	}
	return fmt.Errorf("%w; it accepts what it reads%s", err, cmp.Or(s.awaitLastWords(ctx), ", and gave no reason"+s.seeLog()))
}

// seeLog says how the user reads what the program has written, as the end of a sentence.
func (s *Sidecar) seeLog() string {
	if s.LogAt == nil {
		return ""
	}
	return "; what it wrote is shown by `" + s.LogAt() + "`"
}
