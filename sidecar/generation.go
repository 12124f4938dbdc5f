package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// generation is one process of a proxy: the first, or one that took the sockets
// over from another by a hot restart. Its epoch is its number.
type generation struct {
	epoch   int
	proc    *process.Process
	started time.Time
	version string // of the program

	listeners []StaticListener // its own; nil when they are not known
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
			found = append(found, generation{epoch: epoch, proc: proc, started: time.Now(), listeners: s.program.Listeners(proc)})
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

// departure is the end of a generation that has left.
type departure struct {
	generation
	cut string // what became of its connections, as a clause
}

// follow sees a generation off. Its successor is to leave it alone, and would end it:
// somebody stands in for it.
func (s *supervisor) follow(ctx context.Context, g generation) {
	s.standIn(ctx, g.epoch, nil, s.Timing.StandIn)
	at, all := counted(s.kept, s.place().Ports)
	s.beside.Go(func() {
		cut := s.awaitEmpty(ctx, g, at, all)
		s.letGo(ctx, g)
		select {
		case s.restarts.left <- departure{g, cut}:
		case <-ctx.Done():
		}
	})
}

// awaitEmpty waits until a generation has no connection left at the addresses that it
// accepts them at, if they can be counted at all, until its time is over or until it has
// ended. It gives what becomes of those that it still has.
func (s *supervisor) awaitEmpty(ctx context.Context, g generation, at []netip.AddrPort, all bool) (cut string) {
	ctx, cancel := context.WithTimeout(ctx, s.spec.DrainTimeout)
	defer cancel()
	open, known := 0, false
	pause := pace.Backoff{Min: s.Timing.Drain, Max: 15 * s.Timing.Drain} // to count costs more than to wait
	for {
		timer := time.NewTimer(pause.Next())
		select {
		case <-g.proc.Done():
			return wasCut(open, known, "with it")
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return wasCut(open, known, fmt.Sprintf("as their time was over (drain.timeout, %s)", s.spec.DrainTimeout))
		}
		held, err := g.proc.Held(at)
		if open, known = held, err == nil && all; known && open == 0 {
			return wasCut(open, known, "")
		}
	}
}

// wasCut says how many connections were cut, and why.
func wasCut(open int, known bool, why string) string {
	switch {
	case !known:
		return "how many connections were cut is not known"
	case open == 0:
		return "no connection was cut"
	case open == 1:
		return "1 connection was cut, " + why
	}
	return fmt.Sprintf("%d connections were cut, %s", open, why)
}

// letGo ends a generation that has left, by force when it does not end by itself.
func (s *supervisor) letGo(ctx context.Context, g generation) {
	if ctx.Err() != nil {
		return // of the sidecar
	}
	_ = g.proc.Signal(syscall.SIGTERM) // or it has ended
	late := time.NewTimer(s.Timing.Leave)
	defer late.Stop()
	select {
	case <-g.proc.Done():
		return
	case <-ctx.Done():
		return
	case <-late.C:
	}
	if err := s.end(ctx, g); err != nil {
		s.Log.Error("could not end a generation that did not leave", "proxy", s.place().ID, "generation", g.epoch, "error", err)
	}
}

// standIn answers beside in the place of a generation, for as long as its successor
// may have something to say to it: no longer than that.
func (s *supervisor) standIn(ctx context.Context, epoch int, kept []process.Listener, long time.Duration) {
	s.beside.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, long)
		defer cancel()
		if err := s.program.StandIn(ctx, epoch, kept); err != nil {
			s.Log.Warn("could not stand in for a generation", "proxy", s.place().ID, "generation", epoch, "error", err)
		}
	})
}
