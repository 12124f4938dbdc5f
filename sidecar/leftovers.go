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
	ended, err := endWorkingIn(ctx, run.Dir, run.User, run.Cgroup)
	for _, id := range ended {
		s.Emit(fmt.Sprintf("Ended an %s of an earlier run (pid %d)", s.program.Name(), id.PID))
	}
	return err
}

// EndWorkingIn ends what runs in a run directory that nobody looks after.
func EndWorkingIn(ctx context.Context, dir string, user process.User) error {
	_, err := endWorkingIn(ctx, dir, user, process.Cgroup{})
	return err
}

// endWorkingIn ends what runs in a run directory: only its user and root may enter
// it, and no two tasks have the same.
func endWorkingIn(ctx context.Context, dir string, user process.User, group process.Cgroup) (ended []process.Identity, err error) {
	found, err := process.WorkingIn(dir, user, group)
	for _, id := range found {
		if endErr := process.End(ctx, id); endErr != nil {
			err = errors.Join(err, fmt.Errorf("end process %d of an earlier run: %w", id.PID, endErr))
			continue
		}
		ended = append(ended, id)
	}
	return ended, err
}
