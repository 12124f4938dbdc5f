package sidecar

import (
	"context"
	"errors"
	"fmt"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/process"
)

// checkAlive kills a program that has not answered for too long; a crash then takes its
// course. A program that hangs still has its ports: the kernel accepts connections for
// it, and nobody else can tell.
func (s *supervisor) checkAlive() {
	s.clocks.pulse.Reset(pace.Beat(s.Timing.Pulse))
	if s.restarts.finished != nil || s.isComing() {
		return // the one that answers may be another generation, and somebody waits for it
	}
	asking, cancel := context.WithTimeout(s.unstopped, s.Timing.PulseAnswer) // one that ends closes its connection
	defer cancel()
	err := s.program.Control().Alive(asking)
	switch {
	case err == nil, errors.Is(err, ErrClosed): // its successor has failed
		s.missed = 0
		return
	case errors.Is(err, process.ErrNetwork): // it was not asked
		return
	case errors.Is(asking.Err(), context.Canceled): // it had no time to answer: a stop goes before
		return
	}
	if s.missed++; s.missed < s.Timing.PulseMisses {
		s.clocks.pulse.Reset(0) // it has had its time
		return
	}
	s.Emit(fmt.Sprintf("%s hangs: it has not answered %d times in a row; it is killed", s.program.Name(), s.missed))
	s.missed = 0
	if err := s.current().proc.KillGroup(); err != nil {
		s.Log.Error("could not kill a program that hangs", "pid", s.current().proc.ID.PID, "error", err)
	}
}
