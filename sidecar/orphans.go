package sidecar

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-connect/process"
)

// endOrphans ends an Envoy of this very task that nobody knows any more, as when
// the plugin was killed while it started one. It would hold the ports for ever,
// or share them silently. Only Envoy and root may enter a run directory, and no
// two tasks have the same.
func (s *Sidecar) endOrphans(ctx context.Context) error {
	orphans, err := process.WorkingIn(s.spec.Run.Dir, s.spec.Run.User)
	for _, id := range orphans {
		if endErr := process.End(ctx, id); endErr != nil {
			err = errors.Join(err, fmt.Errorf("end process %d of an earlier run: %w", id.PID, endErr))
			continue
		}
		s.emit(fmt.Sprintf("Ended an Envoy of an earlier run (pid %d)", id.PID))
	}
	return err
}
