package sidecar

import (
	"context"
	"errors"
	"os"
)

// undo is what takes back the steps that were done, last first. Each entry
// must be safe to run when its work is done already.
type undo []func(context.Context) error

func (u *undo) push(f func(context.Context) error) { *u = append(*u, f) }

// run takes everything back, whatever fails on the way.
func (u *undo) run(ctx context.Context) error {
	var errs []error
	for i := len(*u) - 1; i >= 0; i-- {
		errs = append(errs, (*u)[i](ctx))
	}
	*u = nil
	return errors.Join(errs...)
}

// What follows are the undo steps; each may run again.

func (s *Sidecar) withdraw(ctx context.Context) error {
	_, err := s.registrar.withdraw(ctx)
	return err
}

func (s *Sidecar) kill(context.Context) error {
	var errs []error
	for _, g := range s.running.Load().all() {
		errs = append(errs, g.end())
	}
	return errors.Join(errors.Join(errs...), s.spec.Run.Cgroup.Kill())
}

func (s *Sidecar) removeRunDir(context.Context) error { return os.RemoveAll(s.spec.Run.Dir) }

func (s *Sidecar) removeSharedMemory(context.Context) error {
	return s.spec.sharedMemory().Remove()
}
