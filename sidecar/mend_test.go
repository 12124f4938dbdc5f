package sidecar_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// A crash is mended in the same task.
func TestCrash_mended(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.crashAndMend(s)
	b.mustSay("Envoy was killed by signal 9 (SIGKILL): it is started again")
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	eventually(t, func() bool { return b.consul.Ready() == "passing" })
	must.Eq(t, 1, s.Generations())

	b.restarted(s) // a hot restart works as before
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	b.destroyed(s)
}

// Nobody is refused: who comes meanwhile waits for the successor.
func TestCrash_refusesNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	must.NoError(t, s.Signal(syscall.SIGKILL))
	for s.Status().Epoch == 0 {
		b.connect()
	}
	eventually(t, b.sawEvent("after the crash (generation 1,"))
	b.mustSay("connections to it wait meanwhile")
	eventually(t, func() bool { return b.consul.Ready() == "passing" })
	b.destroyed(s)
}

// Another one within a minute ends the task; a later one does not.
func TestCrash_again(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.crashAndMend(s)
	must.NoError(t, s.Signal(syscall.SIGKILL))
	isDone(t, s)
	b.mustSay("after the crash before: the task ends")
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.Eq(t, "", s.Status().Failure)
	must.Eq(t, "critical", b.consul.Ready())
	b.destroyed(s)

	b = newBench(t, fake.WellBehaved)
	b.timing.Relapse = time.Millisecond
	s = b.startServing()
	b.crashAndMend(s)
	b.crashAndMend(s)
	b.destroyed(s)
}

// A successor that does not come up ends it, too, and what it lacks is told.
func TestCrash_successorFails(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.life.ReadyTimeout = time.Second
	s := b.startServing()
	b.renewWith(fake.Alone)
	must.NoError(t, s.Signal(syscall.SIGKILL))
	eventually(t, func() bool { return b.consul.Ready() == "critical" })
	isDone(t, s)
	must.StrHasPrefix(t, "Envoy was killed by signal 9 (SIGKILL); its successor: Envoy is not ready after 1s: ", s.Status().Failure)
	b.mustSay(s.Status().Failure)
	b.destroyed(s)
}

// A stop goes before.
func TestCrash_stop(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.renewWith(fake.Alone)
	must.NoError(t, s.Signal(syscall.SIGKILL))
	eventually(t, func() bool { return s.Status().Epoch == 1 })
	began := time.Now()
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Less(t, 5*time.Second, time.Since(began))
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	b.destroyed(s)
}

// An app that reaches nobody through it starts at once; what goes wrong then ends the
// task with the reason.
func TestStart_beside(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		behaviour fake.Behaviour
		want      string
	}{
		"dies":           {fake.Mortal, "Envoy exited with status 3 before it was ready; it accepts what it reads"},
		"is never ready": {fake.Alone, "Envoy is not ready after 1s: Envoy has no xDS connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tc.behaviour)
			b.life.ReadyTimeout = time.Second
			s := b.begun()
			must.NotEq(t, "passing", b.consul.Ready())
			isDone(t, s)
			must.StrHasPrefix(t, tc.want, s.Status().Failure)
			b.mustSay(tc.want)
			must.StrHasPrefix(t, tc.want, b.consul.Check(proxyID+":ready").Output)
			b.destroyed(s)
		})
	}
}

// A Consul that is in trouble at that moment is asked again.
func TestCrash_consulInTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.consul.Fail("GET /v1/", 500)
	must.NoError(t, s.Signal(syscall.SIGKILL))
	refused := b.consul.Refusals()
	eventually(t, func() bool { return b.consul.Refusals() > refused+3 })
	b.consul.Heal()
	eventually(t, b.sawEvent("after the crash (generation 1,"))
	eventually(t, func() bool { return b.consul.Ready() == "passing" })
	b.destroyed(s)
}

// A hot restart that is asked for meanwhile follows.
func TestCrash_thenSIGHUP(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	must.NoError(t, s.Signal(syscall.SIGKILL))
	eventually(t, b.sawEvent("it is started again"))
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Hot restart 2 (SIGHUP)"))
	b.destroyed(s)
}
