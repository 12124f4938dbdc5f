package sidecar

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-connect/process"
)

// endOrphans ends what runs of this very task and nobody knows any more, as when
// the plugin was killed while it started it. It would hold the ports for ever, or
// share them silently.
func (s *Sidecar) endOrphans(ctx context.Context) error {
	run := s.spec.Run
	ended, err := endWorkingIn(ctx, run, Anything)
	for _, id := range ended {
		s.Emit(fmt.Sprintf("Ended an %s of an earlier run (pid %d)", s.program.Name(), id.PID))
	}
	return err
}

// EndLeft ends what is ours of what works in a run directory that nobody looks after.
func (r Run) EndLeft(ctx context.Context, isOurs func(args []string) bool) error {
	_, err := endWorkingIn(ctx, r, isOurs)
	return err
}

// Anything is ours in a directory that only its user and root may enter.
func Anything([]string) bool { return true }

// endWorkingIn ends what runs in a run directory and is ours; no two tasks have
// the same.
func endWorkingIn(ctx context.Context, r Run, isOurs func(args []string) bool) (ended []process.Identity, err error) {
	found, err := process.WorkingIn(r.Dir, r.User, r.Cgroup)
	for _, id := range found {
		if args, err := process.Args(id.PID); err != nil || !isOurs(args) {
			continue // gone meanwhile, or none of ours
		}
		if endErr := process.End(ctx, id); endErr != nil {
			err = errors.Join(err, fmt.Errorf("end process %d of an earlier run: %w", id.PID, endErr))
			continue
		}
		ended = append(ended, id)
	}
	return ended, err
}
