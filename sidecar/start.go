package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// startInTime bounds the start as a whole.
func (s *Sidecar) startInTime(ctx context.Context) error {
	if s.StartBy.IsZero() {
		return s.start(ctx)
	}
	ctx, cancel := context.WithDeadline(ctx, s.StartBy)
	defer cancel()
	err := s.start(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("%s was not started within ready.timeout, %s, as something took too long that comes before its readiness: %w", s.program.Name(), s.spec.ReadyTimeout, err)
	}
	return err
}

// start goes through the steps, each of which pushes its own undoing.
func (s *Sidecar) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.program.Preflight,
		s.join,
		s.endOrphans,
		s.claimPorts,
		s.makeRunDir,
		s.makeSocketDirs,
		s.prepare,
		s.launchFirst,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sidecar) join(ctx context.Context) error {
	// A registration that failed may have been carried out all the same.
	s.undo.push(s.leave)
	at, err := s.member.Join(ctx)
	s.at.Store(&at)
	return err
}

func (s *Sidecar) makeRunDir(context.Context) error {
	if err := s.spec.Run.makeDir(); err != nil {
		return err
	}
	s.undo.push(s.removeRunDir)
	return nil
}

// makeSocketDirs leaves nothing to undo: the directories are the allocation's, and an app
// may have its sockets there.
func (s *Sidecar) makeSocketDirs(context.Context) error {
	run := s.spec.Run
	for _, dir := range run.Sockets {
		if err := dir.make(run.Root, run.User); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sidecar) prepare(ctx context.Context) error {
	s.undo.push(s.removeProgram)
	return s.program.Prepare(ctx)
}

func (s *Sidecar) launchFirst(ctx context.Context) error {
	next, err := s.program.Next(ctx, s.place(), 0)
	if err != nil {
		return err
	}
	if err := s.claimListeners(ctx, next); err != nil {
		return err
	}
	s.countOOMKills()
	first, err := s.launch(next, 0)
	if err != nil {
		return err
	}
	s.started = first.started
	s.running.Store(&generations{current: first})
	s.undo.push(s.kill)
	// From now on the registration says whose process it stands for.
	if _, err := s.member.Tell(ctx, Standing{Process: first.proc.ID, Listeners: first.listeners, Why: s.program.Name() + " is not ready yet"}); err != nil {
		return err
	}
	if s.first = next; !s.appWaits() {
		return nil
	}
	if _, err := s.awaitReady(ctx, first, next); err != nil {
		return err
	}
	s.ready = true
	s.sayReady(ctx, first)
	return nil
}

// appWaits tells whether the app is to find a ready program: it reaches others through
// it, or nobody knows whom. Else it may start beside it, as peers are kept away until
// both are there.
func (s *Sidecar) appWaits() bool {
	at := s.place()
	return at.Public.Number == 0 || at.Outbound
}

func (s *Sidecar) sayReady(ctx context.Context, g generation) {
	s.Emit(fmt.Sprintf("%s %s is ready in %d ms (pid %d)%s", s.program.Name(), g.version,
		time.Since(g.started).Milliseconds(), g.proc.ID.PID, s.program.Control().Remark(ctx, s.place())))
}

// localAddress is where the app accepts connections, as we reach it: a relative
// socket's path is relative to the directory of the program.
func (s *Sidecar) localAddress() Address {
	app := s.place().App
	if app.Network == "unix" && !filepath.IsAbs(app.Address) {
		app.Address = s.current().proc.ID.Path("cwd/" + app.Address)
	}
	return app
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
