package sidecar

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// start goes through the steps, each of which pushes its own undoing.
func (s *Sidecar) start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.program.Preflight,
		s.join,
		s.endOrphans,
		s.claimPorts,
		s.makeRunDir,
		s.prepare,
		s.launchFirst,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sidecar) join(ctx context.Context) (err error) {
	// A registration that failed may have been carried out all the same.
	s.undo.push(s.leave)
	s.place, err = s.member.Join(ctx)
	return err
}

func (s *Sidecar) makeRunDir(context.Context) error {
	if err := makeRunDir(s.spec.Run); err != nil {
		return err
	}
	s.undo.push(s.removeRunDir)
	return nil
}

func (s *Sidecar) prepare(ctx context.Context) error {
	s.undo.push(s.removeProgram)
	return s.program.Prepare(ctx)
}

func (s *Sidecar) launchFirst(ctx context.Context) error {
	next, err := s.program.Next(ctx, s.place, 0)
	if err != nil {
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
	if _, err := s.member.Tell(ctx, Standing{Process: first.proc.ID, Why: s.program.Name() + " is not ready yet"}); err != nil {
		return err
	}
	if _, err := s.awaitReady(ctx, first, next); err != nil {
		return err
	}
	s.Emit(fmt.Sprintf("%s %s is ready in %d ms (pid %d)%s", s.program.Name(), first.version,
		time.Since(first.started).Milliseconds(), first.proc.ID.PID, s.program.Control().Remark(ctx, s.place)))
	return nil
}

// localAddress is where the app accepts connections, as we reach it: a relative
// socket's path is relative to the directory of the program.
func (s *Sidecar) localAddress() Address {
	app := s.place.App
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
