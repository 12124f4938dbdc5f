package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
)

// An Envoy that hangs still has its ports: the kernel accepts connections for
// it, and nobody else can tell. Its admin API can.
const (
	pulseInterval = 2 * time.Second
	pulseTimeout  = 2 * time.Second
	pulseMisses   = 4 // in a row, before Envoy is given up
)

// checkPulse ends an Envoy that has not answered for too long; Nomad then starts
// another. It gives the number of answers that are missing.
func (s *Sidecar) checkPulse(ctx context.Context, missed int) int {
	asking, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	err := s.admin.Ping(asking)
	switch {
	case err == nil, envoy.AdminClosed(err): // closed is the one whose successor failed
		return 0
	case errors.Is(err, process.ErrNetwork): // it was not asked
		return missed
	}
	if missed++; missed < pulseMisses {
		return missed
	}
	s.emit(fmt.Sprintf("Envoy hangs: its admin API has not answered %d times in a row; it is killed", missed))
	if err := s.current().proc.KillGroup(); err != nil {
		s.log.Error("could not kill an Envoy that hangs", "pid", s.current().proc.ID.PID, "error", err)
	}
	return 0
}
