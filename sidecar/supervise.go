package sidecar

import (
	"context"
	"time"
)

const (
	probeInterval = 20 * time.Millisecond
	dialTimeout   = 500 * time.Millisecond
	retryInterval = time.Second

	// gateTimeout bounds what is asked of the local agent while Envoy is
	// supervised: neither a stop nor the news of a crash waits longer for it.
	gateTimeout = time.Second
)

// supervisor is what the goroutine of a sidecar knows and nobody else.
type supervisor struct {
	*Sidecar
	open     bool // peers are let in
	tried    bool // it was tried to let them in
	missed   int  // answers of Envoy's admin API, in a row
	away     bool // withdrawn from Consul, or lost by it
	restarts hotRestarts
}

// supervise owns the sidecar from the moment Envoy is ready until it is gone.
// A generation may have begun to take over already.
func (s *Sidecar) supervise(ctx context.Context, begun *generation) {
	defer close(s.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &supervisor{Sidecar: s, restarts: newHotRestarts()}
	now := s.running.Load()
	for _, old := range now.leaving {
		v.follow(ctx, old)
	}
	if len(now.leaving) == 0 && now.current.epoch > 0 && begun == nil { // it may have left while nobody watched
		go v.keepPlace(ctx, now.current.epoch-1)
	}
	if begun != nil {
		v.background(ctx, func(ctx context.Context) renewal { return s.resume(ctx, *begun) })
	}
	v.run(ctx)
}

// clocks say when supervise looks at what does not tell of itself.
type clocks struct{ app, ready, pulse, lost *time.Ticker }

func startClocks() clocks {
	c := clocks{time.NewTicker(probeInterval), time.NewTicker(readyInterval), time.NewTicker(pulseInterval), time.NewTicker(restoreInterval)}
	c.lost.Stop() // until something is
	return c
}

func (c clocks) stop() {
	for _, clock := range []*time.Ticker{c.app, c.ready, c.pulse, c.lost} {
		clock.Stop()
	}
}

func (s *supervisor) run(ctx context.Context) {
	var inCatalog <-chan bool
	if id := s.proxyID(); id != "" {
		inCatalog = s.watch.Follow(id)
		defer s.watch.Unfollow(id)
	}
	clocks := startClocks()
	defer clocks.stop()
	defer s.restarts.due.Stop()
	for {
		select {
		case <-s.current().proc.Done():
			if s.hasCrashed(ctx) {
				return
			}
		case req := <-s.stop:
			s.abandon(ctx)
			s.shutDown(ctx, req)
			return
		case <-s.hup:
			s.hotRestart(ctx, "SIGHUP")
		case <-s.restarts.due.C:
			s.hotRestart(ctx, "")
		case result := <-s.restarts.finished:
			s.hotRestarted(ctx, result)
		case g := <-s.restarts.left:
			s.hasLeft(ctx, g)
		case <-clocks.pulse.C:
			if s.restarts.cancel == nil { // else the admin API may be that of the next generation
				s.missed = s.checkPulse(ctx, s.missed)
			}
		case <-clocks.ready.C:
			if s.open {
				s.stayReady(ctx)
			}
		case present := <-inCatalog:
			if s.heard(ctx, present) {
				s.lookOut(clocks)
			}
		case <-clocks.lost.C:
			if s.restore(ctx, s.open) {
				s.away = false
				clocks.lost.Stop()
			}
		case <-clocks.app.C:
			s.probe(ctx, clocks)
		}
	}
}

// lookOut begins to see what becomes of a sidecar that is not in Consul.
func (s *supervisor) lookOut(c clocks) {
	s.away = true
	c.lost.Reset(restoreInterval)
}

// probe lets peers in as soon as the app accepts a connection.
func (s *supervisor) probe(ctx context.Context, c clocks) {
	if !s.localServiceAnswers(ctx) {
		return
	}
	if gone, err := s.isGone(ctx); err == nil && gone { // before it served, or before it was found again
		s.open = true
		s.lookOut(c)
		c.app.Stop()
		return
	}
	if s.open = s.tryGate(ctx, s.tried); s.open {
		c.app.Stop()
	} else {
		c.app.Reset(retryInterval)
	}
	s.tried = true
}

// hasCrashed ends the sidecar, unless a hot restart was through when its
// current generation went.
func (s *supervisor) hasCrashed(ctx context.Context) bool {
	gone := s.current().epoch
	s.abandon(ctx)
	if s.current().epoch != gone {
		return false
	}
	s.crashed(ctx)
	return true
}
