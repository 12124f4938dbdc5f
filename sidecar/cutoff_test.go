package sidecar_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// An answer that a stop does not wait for is not one that Envoy has missed.
func TestSidecar_stopWhileItIsAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.timing.Pulse, b.timing.PulseAnswer, b.timing.PulseMisses = 10*time.Millisecond, time.Minute, 1
	asked := make(chan struct{}, 1)
	b.wrapProgram = func(p sidecar.Program) sidecar.Program { return silentProgram{p, asked} }
	s := b.started()
	<-asked
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	must.False(t, b.sawEvent("hangs")())
	b.destroyed(s)
}
