package sidecar

import (
	"context"
	"errors"
	"strings"

	"nomad-driver-connect/process"
)

// undo is what takes back the steps that were done, last first. Each entry
// must be safe to run when its work is done already.
type undo []func(context.Context) error

func (u *undo) push(f func(context.Context) error) { *u = append(*u, f) }

// run takes everything back, whatever fails on the way. What failed is kept, to be
// tried again.
func (u *undo) run(ctx context.Context) error {
	var errs []error
	var failed undo
	for i := len(*u) - 1; i >= 0; i-- {
		if err := (*u)[i](ctx); err != nil {
			errs = append(errs, err)
			failed = append(undo{(*u)[i]}, failed...)
		}
	}
	*u = failed
	return errors.Join(errs...)
}

// What follows are undo steps.

func (s *Sidecar) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	_, err := s.member.Leave(ctx)
	return err
}

func (s *Sidecar) kill(ctx context.Context) error {
	var errs []error
	for _, g := range s.running.Load().all() {
		errs = append(errs, s.end(ctx, g))
	}
	return errors.Join(errors.Join(errs...), s.empty(s.spec.Run.Cgroup))
}

// empty ends what is left in the cgroup of the task when no generation is.
func (s *Sidecar) empty(group process.Cgroup) error {
	var groups []int
	for _, g := range s.running.Load().all() {
		groups = append(groups, g.proc.ID.PID)
	}
	strays := group.Strays(groups)
	err := group.Kill()
	if err == nil && len(strays) > 0 {
		s.Emit("Ended what still ran in the cgroup of the task after " + s.program.Name() + ": " + strings.Join(strays, ", "))
	}
	return err
}

func (s *Sidecar) removeProgram(context.Context) error { return s.program.Remove() }

func (s *Sidecar) removeRunDir(context.Context) error { return s.spec.Run.RemoveDir() }
