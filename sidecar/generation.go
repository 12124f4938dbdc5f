package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"nomad-driver-connect/process"
)

// generation is one process of a proxy: the first, or one that took the sockets
// over from another by a hot restart. Its epoch is its number.
type generation struct {
	epoch   int
	proc    *process.Process
	started time.Time
	version string // of the program
}

// generations are those of a sidecar that run. The value is replaced as a
// whole, so that whoever asks sees one state of affairs.
type generations struct {
	current generation
	leaving []generation // those that were succeeded, the oldest first
}

func (g generations) all() []generation { return append(slices.Clone(g.leaving), g.current) }

// findGenerations finds those that run in the run directory, the oldest first,
// whoever started them: only the program's user and root may enter it.
func (s *Sidecar) findGenerations() ([]generation, error) {
	run := s.spec.Run
	ids, err := process.WorkingIn(run.Dir, run.User, run.Cgroup)
	if err != nil {
		return nil, err
	}
	var found []generation
	for _, id := range ids {
		args, _ := process.Args(id.PID) // none of one that is gone
		epoch, ok := s.program.Epoch(args)
		if !ok || !process.LeadsSession(id) {
			continue // somebody's shell, or what a generation has started
		}
		proc, err := process.Attach(id)
		if err != nil {
			return nil, err
		}
		if proc != nil { // else it is gone meanwhile
			found = append(found, generation{epoch: epoch, proc: proc, started: time.Now()})
		}
	}
	slices.SortFunc(found, func(a, b generation) int { return cmp.Compare(a.epoch, b.epoch) })
	return found, nil
}

// end kills what is left of a generation. The error says that it does not end.
func (s *Sidecar) end(ctx context.Context, g generation) error {
	if err := g.proc.KillGroup(); err != nil {
		return err
	}
	late := time.NewTimer(s.Timing.End)
	defer late.Stop()
	select {
	case <-g.proc.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return fmt.Errorf("%s (pid %d) is not gone %s after it was killed", s.program.Name(), g.proc.ID.PID, s.Timing.End)
	}
}

// leaveGrace is how long a generation that leaves may take altogether.
func (s *Sidecar) leaveGrace() time.Duration { return s.spec.DrainTimeout + s.Timing.Leave }

// follow waits until a generation has left. Its successor ends it when its time
// is over, and a generation that stays is killed. Somebody stands in for it for as long as the
// successor may have something to say. (The next generation but one has a place of
// its own.)
func (s *supervisor) follow(ctx context.Context, g generation) {
	s.beside.Go(func() {
		if !s.hasEnded(ctx, g) {
			return
		}
		s.beside.Go(func() { s.standIn(ctx, g.epoch) })
		select {
		case s.restarts.left <- g:
		case <-ctx.Done():
		}
	})
}

// hasEnded waits for the end of a generation that leaves, and sees to it. It tells
// whether that is to be told of.
func (s *supervisor) hasEnded(ctx context.Context, g generation) bool {
	late := time.NewTimer(s.leaveGrace())
	defer late.Stop()
	select {
	case <-g.proc.Done():
		return true
	case <-ctx.Done():
		return false
	case <-late.C:
	}
	if err := s.end(ctx, g); err != nil {
		s.Log.Error("could not end a generation that did not leave", "proxy", s.place.ID, "generation", g.epoch, "error", err)
	}
	return ctx.Err() == nil
}

func (s *supervisor) standIn(ctx context.Context, epoch int) {
	ctx, cancel := context.WithTimeout(ctx, s.leaveGrace())
	defer cancel()
	if err := s.program.StandIn(ctx, epoch, nil); err != nil {
		s.Log.Warn("could not stand in for a generation that has left", "proxy", s.place.ID, "generation", epoch, "error", err)
	}
}
