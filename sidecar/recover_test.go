package sidecar_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

func TestSidecar_recovered(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.startApp()
	first := b.started()

	again := b.attach(first.State())
	serves(t, again)
	b.mustSay("Found Envoy again")
	must.NoError(t, again.Destroy(t.Context()))
	must.Eq(t, syscall.SIGKILL, again.Status().Exit.Signal)
	b.clean()
}

func TestSidecar_recoveredTooLate(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	first := b.started()
	state := first.State()
	b.crash(first)

	again := b.attach(state)
	isDone(t, again)
	must.True(t, again.Status().Exit.Unobserved)
	b.destroyed(again)
}

// A handle that Nomad kept of a task that was destroyed.
func TestSidecar_forgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	first := b.started()
	must.NoError(t, first.Destroy(t.Context()))
	member, program, host := b.wire()
	_, err := sidecar.Attach(t.Context(), b.life, first.State(), member, program, host)
	must.ErrorIs(t, err, sidecar.ErrForgotten)
	b.clean()
}

// An Envoy of this task that nobody knows any more is ended before the next one.
func TestSidecar_orphan(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	lost := b.started()
	next := b.started()
	b.mustSay(fmt.Sprintf("Ended an Envoy of an earlier run (pid %d)", lost.Status().Process.PID))
	must.NotEq(t, lost.Status().Process, next.Status().Process)
}

func TestStart_secondSidecar(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.own.Meta = map[string]string{"nomad-task": "one"}
	b.started()
	second := *b.own
	second.Meta = map[string]string{"nomad-task": "two"}
	second.Listener.Number = freePort()
	b.own, b.life.Run.Dir = &second, b.life.Run.Dir+"-two"
	_, err := b.start()
	must.EqError(t, err, `service: the task "one" of this group is the sidecar of "web" already`)
	must.NotNil(t, b.consul.Proxy(), must.Sprint("the first one keeps its registration"))
}
