package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
)

// endOrphans ends an Envoy of this very task that nobody knows any more, as when
// the plugin was killed while it started one. It would hold the ports for ever,
// or share them silently.
func (s *Sidecar) endOrphans(ctx context.Context) error {
	ended, err := endWorkingIn(ctx, s.spec.Run.Dir, s.spec.Run.User)
	for _, id := range ended {
		s.emit(fmt.Sprintf("Ended an Envoy of an earlier run (pid %d)", id.PID))
	}
	return err
}

// Clear ends the Envoys of a run directory that nobody looks after, and removes
// what they had.
func Clear(ctx context.Context, dir string, user process.User) error {
	_, err := endWorkingIn(ctx, dir, user)
	return errors.Join(err, envoy.SharedMemoryOf(dir).Remove(), os.RemoveAll(dir))
}

// endWorkingIn ends what runs in a run directory: only Envoy and root may enter
// it, and no two tasks have the same.
func endWorkingIn(ctx context.Context, dir string, user process.User) (ended []process.Identity, err error) {
	found, err := process.WorkingIn(dir, user)
	for _, id := range found {
		if endErr := process.End(ctx, id); endErr != nil {
			err = errors.Join(err, fmt.Errorf("end process %d of an earlier run: %w", id.PID, endErr))
			continue
		}
		ended = append(ended, id)
	}
	return ended, err
}
