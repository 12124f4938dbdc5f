package sidecar_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// A crash is one, also during a hot restart; nothing is left of either.
func TestHotRestart_crash(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.renewWith(fake.Alone)
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, func() bool { return s.Generations() == 2 })
	b.crash(s)
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	b.destroyed(s)
}

// launchNext starts another generation that the sidecar does not know of.
func (b *bench) launchNext(s *sidecar.Sidecar, behaviour fake.Behaviour) {
	b.t.Helper()
	before := b.now()
	b.renewWith(behaviour)
	must.NoError(b.t, s.LaunchNext(b.t.Context()))
	b.change(func(n *node) { *n = before })
	eventually(b.t, func() bool { return s.Generations() == 2 })
}

// All generations are found again, whatever they were about.
func TestHotRestart_recovered(t *testing.T) {
	t.Parallel()
	t.Run("while the old one leaves", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fake.WellBehaved)
		s := b.startServing()
		b.restarted(s)
		again := b.attach(s.State())
		must.Eq(t, 1, again.Status().Epoch)
		must.Eq(t, s.Status().Process, again.Status().Process)
		must.Eq(t, 1, again.Leaving())
		eventually(t, func() bool { return again.Leaving() == 0 })
		b.destroyed(again)
	})
	t.Run("when the old one died before the new one was ready", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fake.WellBehaved)
		s := b.startServing()
		b.launchNext(s, fake.Alone)
		state := s.State()
		b.crash(s)
		again := b.attach(state)
		isDone(t, again)
		must.Eq(t, sidecar.Exited, again.Status().Phase)
		b.destroyed(again)
	})
	t.Run("before the new one was ready", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fake.WellBehaved)
		b.life.ReadyTimeout = time.Second
		s := b.startServing()
		b.launchNext(s, fake.Alone)

		again := b.attach(s.State())
		must.Eq(t, 0, again.Status().Epoch)
		eventually(t, b.sawEvent("Hot restart failed (begun before the plugin was restarted), generation 0 serves on: Envoy is not ready"))
		b.restarted(again)
		b.destroyed(again)
	})
}
