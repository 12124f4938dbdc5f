package sidecar

import (
	"context"
	"fmt"
	"os"
	"time"
)

// awaitReady returns when Envoy is of use to the app, or says what is missing.
func (s *Sidecar) awaitReady(ctx context.Context, config *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	missing := ""
	nextParentCheck := time.Now().Add(parentCheck)
	for {
		p := s.admin.progress(ctx)
		if p.clustersRefused+p.listenersRefused > 0 {
			p.refusal = s.admin.refusals(ctx)
		}
		// A request that the deadline cut off says nothing new.
		if ctx.Err() == nil {
			missing = notReady(p, s.agent.XDS.String())
		}
		if missing == "" {
			s.emit(fmt.Sprintf("Envoy %s is ready in %d ms (pid %d)", s.version, time.Since(s.started).Milliseconds(), s.proc.ID.PID))
			return nil
		}
		if s.parent != nil && time.Now().After(nextParentCheck) {
			nextParentCheck = time.Now().Add(parentCheck)
			if svc, err := s.consul.Service(ctx, s.parent.ID); err == nil && svc == nil {
				return fmt.Errorf("gave up before Envoy was ready: the service %q was withdrawn from Consul; %s", s.spec.Service, missing)
			}
		}
		select {
		case <-s.proc.Done():
			return s.diedEarly(ctx, config)
		case <-ctx.Done():
			return fmt.Errorf("Envoy is not ready after %s: %s", s.spec.ReadyTimeout, missing)
		case <-tick.C:
		}
	}
}

// diedEarly asks Envoy itself what it did not like.
func (s *Sidecar) diedEarly(ctx context.Context, config *os.File) error {
	exit := s.explain(s.proc.Exit())
	err := fmt.Errorf("Envoy %s before it was ready", exit)
	if exit.OOMKilled {
		return fmt.Errorf("%w; give the task more with resources { memory = … }, an idle Envoy takes 20 MB", err)
	}
	if reason := validateBootstrap(ctx, s.spec, config); reason != nil {
		return fmt.Errorf("%w; %w", err, reason)
	}
	return fmt.Errorf("%w; it accepts the bootstrap, so see the task's log for the reason", err)
}
