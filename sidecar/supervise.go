package sidecar

import (
	"context"
	"sync"
	"time"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// supervisor is what the goroutine of a sidecar knows and nobody else.
type supervisor struct {
	*Sidecar
	waits     string // why peers are not let in yet
	refusal   error  // of the app's, when it was last asked for a connection
	admitted  bool   // peers were let in, once
	strayed   string // why they cannot reach it; empty when they can
	crash     crash
	away      bool   // withdrawn from the mesh, or lost by it
	forgotten string // what was said of a mesh that has lost its data; empty for nothing
	missed    int    // unanswered questions whether it is alive, in a row
	warming   chan warmed
	restarts  restarts
	kept      []process.Listener // what the current generation listens on
	keepSoon  bool               // it is about to be looked at
	files     chan filesResult   // of the look at the node's files under way; nil when there is none
	telling   trouble            // with what the mesh is told
	looking   trouble            // with what it is asked
	reading   trouble            // with the node's files
	untold    bool               // the mesh does not know yet how it is
	retry     pace.Backoff       // of what it was not told, or not asked
	probing   pace.Backoff
	clocks    clocks
	addresses <-chan struct{} // news of the machine's addresses
	beside    sync.WaitGroup  // those who follow generations that leave, stand in for them, or wait for one
}

// clocks say when to look at what does not tell of itself. Each is set when it is
// known when that is.
type clocks struct {
	app     *time.Timer // whether the app accepts connections
	silence *time.Timer // since when it should
	pulse   *time.Timer // whether the program is alive
	mend    *time.Timer // whether a crash is mended
	keep    *time.Timer // the sockets of the program
	tell    *time.Timer // to tell the mesh
	look    *time.Timer // what has become of the proxy in the mesh
	files   *time.Timer // the node's files
}

func (t Timing) clocks() clocks {
	return clocks{
		app:     time.NewTimer(0),
		silence: time.NewTimer(t.Silence),
		pulse:   time.NewTimer(pace.Beat(t.Pulse)),
		mend:    stopped(),
		keep:    stopped(),
		tell:    stopped(),
		look:    stopped(),
		files:   time.NewTimer(pace.Beat(t.Files)),
	}
}

// stopped is a timer that is not set.
func stopped() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

func (c clocks) stop() {
	for _, timer := range []*time.Timer{c.app, c.silence, c.pulse, c.mend, c.keep, c.tell, c.look, c.files} {
		timer.Stop()
	}
}

// supervise owns the sidecar from the moment that its program is launched until it is
// gone. A generation may have begun to take over already.
func (s *Sidecar) supervise(ctx context.Context, begun *generation) {
	ctx, cancel := context.WithCancel(ctx)
	t := s.Timing
	v := &supervisor{
		Sidecar:  s,
		waits:    "the local service has not accepted a connection yet",
		restarts: newRestarts(t),
		retry:    pace.Backoff{Min: t.RetryMin, Max: t.RetryMax},
		probing:  pace.Backoff{Min: t.ProbeMin, Max: t.ProbeMax},
		clocks:   t.clocks(),
	}
	defer func() {
		cancel()
		v.beside.Wait() // the run directory is about to go
		v.dropSockets()
		close(s.over)
	}()
	defer v.clocks.stop()
	defer v.restarts.due.Stop()
	defer v.followAddresses()()
	v.lookAtAddress(ctx)
	v.takeUp(ctx, begun)
	v.run(ctx)
}

// takeUp begins with what there is: a first generation, or those of an earlier life
// of this program.
func (s *supervisor) takeUp(ctx context.Context, begun *generation) {
	now := s.running.Load()
	for _, old := range now.leaving {
		s.follow(ctx, old)
	}
	// The one before the oldest may have left while nobody watched, with something to be
	// said to it still.
	if oldest := now.all()[0]; oldest.epoch > 0 {
		s.standIn(ctx, oldest.epoch-1, nil, s.spec.ReadyTimeout+s.Timing.StandIn)
	}
	switch {
	case begun != nil:
		s.resume(ctx, *begun)
	case !s.ready && !now.current.started.IsZero():
		s.warmUp(ctx, now.current, s.first)
	}
	if s.attached { // with many others
		s.clocks.keep.Reset(pace.Jitter(s.Timing.Keep))
		return
	}
	s.keepSockets(ctx)
}

func (s *supervisor) run(ctx context.Context) { //nolint:funlen // a case for everything that happens
	news := s.member.News()
	for {
		select {
		case <-ctx.Done(): // the program outlives this one
			return
		case <-s.ended():
			if s.hasCrashed(ctx) {
				return
			}
		case result := <-s.warming:
			if s.warmedUp(ctx, result) {
				return
			}
		case a := <-s.crash.prepared:
			if s.startAgain(ctx, a) {
				return
			}
		case req := <-s.stop:
			s.abandon(ctx)
			s.shutDown(ctx, req)
			return
		case <-s.hup:
			s.restart(ctx, "SIGHUP")
		case <-s.restarts.due.C:
			s.restart(ctx, "")
		case p := <-s.restarts.prepared:
			s.replace(ctx, p)
		case result := <-s.restarts.finished:
			s.restarted(ctx, result)
		case d := <-s.restarts.left:
			s.hasLeft(ctx, d)
		case <-news:
			s.look(ctx)
			s.restarts.soon(s.Timing.Config)
			s.keepAgain()
		case <-s.addresses:
			s.lookAtAddress(ctx)
		case result := <-s.files:
			s.lookedAtFiles(ctx, result)
		case <-s.clocks.app.C:
			s.probe(ctx)
		case <-s.clocks.silence.C:
			s.sayWhoIsSilent()
		case <-s.clocks.pulse.C:
			s.checkAlive() //nolint:contextcheck // it ends with a stop, or with its program
		case <-s.clocks.mend.C:
			if s.mendsTooLong(ctx) {
				return
			}
		case <-s.clocks.keep.C:
			s.keepSockets(ctx)
		case <-s.clocks.look.C:
			s.look(ctx)
		case <-s.clocks.tell.C:
			s.tell(ctx)
		case <-s.clocks.files.C:
			s.lookAtFiles()
		}
	}
}

// ended is closed when the program has ended, and nothing is done about that yet. Of
// one that is waited for, warming tells.
func (s *supervisor) ended() <-chan struct{} {
	if s.isComing() {
		return nil
	}
	return s.current().proc.Done()
}

// calm gives a context for one question to somebody else: the program's end and a
// stop go before.
func (s *supervisor) calm(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	ended := s.ended()
	go func() {
		select {
		case <-ended:
		case <-s.unstopped.Done():
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, cancel
}
