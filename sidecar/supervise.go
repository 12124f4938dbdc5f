package sidecar

import (
	"context"
	"sync"
	"time"

	"nomad-driver-connect/pace"
)

// supervisor is what the goroutine of a sidecar knows and nobody else.
type supervisor struct {
	*Sidecar
	standing  Standing // what the mesh is to know
	admitted  bool     // peers were let in, once
	away      bool     // withdrawn from the mesh, or lost by it
	forgotten string   // what was said of a mesh that has lost its data; empty for nothing
	missed    int      // unanswered questions whether it is alive, in a row
	restarts  restarts
	files     chan filesResult // of the look at the node's files under way; nil when there is none
	telling   trouble          // with what the mesh is told
	looking   trouble          // with what it is asked
	reading   trouble          // with the node's files
	untold    bool             // the mesh does not know yet how it is
	retry     pace.Backoff     // of what it was not told, or not asked
	probing   pace.Backoff
	clocks    clocks
	beside    sync.WaitGroup // those who follow generations that leave, or stand in for them
}

// clocks say when to look at what does not tell of itself. Each is set when it is
// known when that is.
type clocks struct {
	app   *time.Timer // whether the app accepts connections
	pulse *time.Timer // whether the program is alive
	tell  *time.Timer // to tell the mesh
	look  *time.Timer // what has become of the proxy in the mesh
	files *time.Timer // the node's files
}

func (t Timing) clocks() clocks {
	return clocks{
		app:   time.NewTimer(0),
		pulse: time.NewTimer(pace.Beat(t.Pulse)),
		tell:  stopped(),
		look:  stopped(),
		files: time.NewTimer(pace.Beat(t.Files)),
	}
}

// stopped is a timer that is not set.
func stopped() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

func (c clocks) stop() {
	for _, timer := range []*time.Timer{c.app, c.pulse, c.tell, c.look, c.files} {
		timer.Stop()
	}
}

// supervise owns the sidecar from the moment that its program is ready until it is
// gone. A generation may have begun to take over already.
func (s *Sidecar) supervise(ctx context.Context, begun *generation) {
	ctx, cancel := context.WithCancel(ctx)
	t := s.Timing
	v := &supervisor{
		Sidecar:  s,
		standing: Standing{Process: s.current().proc.ID, Why: "the local service has not accepted a connection yet"},
		restarts: newRestarts(t),
		retry:    pace.Backoff{Min: t.RetryMin, Max: t.RetryMax},
		probing:  pace.Backoff{Min: t.ProbeMin, Max: t.ProbeMax},
		clocks:   t.clocks(),
	}
	defer func() {
		cancel()
		v.beside.Wait() // the run directory is about to go
		close(s.over)
	}()
	defer v.clocks.stop()
	defer v.restarts.due.Stop()
	now := s.running.Load()
	for _, old := range now.leaving {
		v.follow(ctx, old)
	}
	if len(now.leaving) == 0 && now.current.epoch > 0 && begun == nil { // it may have left while nobody watched
		v.beside.Go(func() { v.standIn(ctx, now.current.epoch-1) })
	}
	if begun != nil {
		v.resume(ctx, *begun)
	}
	v.run(ctx)
}

func (s *supervisor) run(ctx context.Context) {
	news := s.member.News()
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
			s.restart(ctx, "SIGHUP")
		case <-s.restarts.due.C:
			s.restart(ctx, "")
		case p := <-s.restarts.prepared:
			s.replace(ctx, p)
		case result := <-s.restarts.finished:
			s.restarted(ctx, result)
		case g := <-s.restarts.left:
			s.hasLeft(ctx, g)
		case <-s.clocks.pulse.C:
			s.checkAlive() //nolint:contextcheck // it ends with a stop, or with its program
		case <-news:
			s.look(ctx)
			s.restarts.soon(s.Timing.Config)
		case <-s.clocks.look.C:
			s.look(ctx)
		case <-s.clocks.tell.C:
			s.tell(ctx)
		case <-s.clocks.app.C:
			s.probe(ctx)
		case <-s.clocks.files.C:
			s.lookAtFiles()
		case result := <-s.files:
			s.lookedAtFiles(ctx, result)
		}
	}
}

// calm gives a context for one question to somebody else: the program's end and a
// stop go before.
func (s *Sidecar) calm(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	go func() {
		select {
		case <-s.current().proc.Done():
		case <-s.unstopped.Done():
		case <-ctx.Done():
		}
		cancel()
	}()
	return ctx, cancel
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

// filesResult is what came of a look at the node's files.
type filesResult struct {
	changed bool
	err     error
}

// lookAtFiles does so beside: a job's file may never answer.
func (s *supervisor) lookAtFiles() {
	s.files = make(chan filesResult, 1)
	result := s.files
	go func() {
		changed, err := s.Changed()
		result <- filesResult{changed, err}
	}()
}

// lookedAtFiles takes up what has changed: a new token must be known to the mesh
// before the program is started with it.
func (s *supervisor) lookedAtFiles(ctx context.Context, result filesResult) {
	s.files = nil
	s.clocks.files.Reset(pace.Beat(s.Timing.Files))
	s.reading.note(s.Sidecar, result.err, "read what it is started with")
	if result.changed {
		s.look(ctx)
		s.restarts.soon(0)
	}
}
