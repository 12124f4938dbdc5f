package sidecar

import (
	"context"
	"fmt"
)

// warmed is what came of the wait for a generation that no other one serves beside.
type warmed struct {
	generation
	remark string
	err    error
}

// warmUp waits beside until the current generation is ready. started is what it was
// started with; nil when that is not known.
func (s *supervisor) warmUp(ctx context.Context, g generation, started *Launch) {
	s.waits = s.program.Name() + " is not ready yet"
	result := make(chan warmed, 1)
	s.warming = result
	s.beside.Go(func() {
		remark, err := s.awaitReady(ctx, g, started)
		result <- warmed{g, remark, err}
	})
}

// warmedUp takes the result. It tells whether all is over: a generation that is not
// ready in time ends the sidecar.
func (s *supervisor) warmedUp(ctx context.Context, result warmed) (over bool) {
	s.warming = nil
	if result.err != nil {
		s.hasFailed(ctx, result)
		return true
	}
	s.keepSockets(ctx)
	if s.crash.why != "" {
		s.mended(ctx, result)
		return false
	}
	if !s.attached { // an earlier life has said it, or would have
		s.sayReady(ctx, result.generation)
	}
	s.waits = "the local service has not accepted a connection yet"
	s.probe(ctx)
	s.restartNext(ctx)
	return false
}

// hasFailed ends a sidecar whose program is not ready in time, or has ended before.
func (s *supervisor) hasFailed(ctx context.Context, result warmed) {
	reason := result.err.Error()
	if s.crash.why != "" {
		reason = fmt.Sprintf("%s; its successor: %s", s.crash.why, reason)
	}
	select {
	case <-result.proc.Done():
	default:
		if err := s.end(ctx, result.generation); err != nil {
			s.Log.Error("could not end a program that is not ready", "proxy", s.place().ID, "error", err)
		}
	}
	s.isOver(ctx, s.explain(result.generation), reason, reason)
}
