package sidecar_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// The life of a sidecar, phase by phase.
func TestSidecar_life(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)

	s := b.started()
	must.Eq(t, sidecar.Warming, s.Status().Phase)
	must.Eq(t, "critical", b.consul.Ready(), must.Sprint("nobody is routed to it before the app is there"))
	must.Eq(t, fmt.Sprint(s.Status().Process.PID), b.consul.Proxy().Meta["proxy-pid"])
	must.Eq(t, 1, b.consul.Proxy().Port, must.Sprint("it is news at once, and in full, that it serves"))

	b.startApp()
	serves(t, s)
	must.Eq(t, b.own.Listener.Number, b.consul.Proxy().Port)
	must.Eq(t, "passing", b.consul.Ready())

	usage, err := s.Usage()
	must.NoError(t, err)
	must.Positive(t, usage.RSS)

	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, sidecar.Exited, s.Status().Phase)
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	must.Nil(t, b.consul.Proxy())

	b.destroyed(s)
	for _, part := range []string{"Registered web-sidecar-proxy", "Rendered the bootstrap", "is ready in", "Serving", "Stopped: withdrawn from Consul, Envoy exited with status 0"} {
		b.mustSay(part)
	}
}

func TestSidecar_crash(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.crash(s)
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.Eq(t, "critical", b.consul.Ready(), must.Sprint("peers know of the crash"))
	b.mustSay("killed by signal 9 (SIGKILL)")
	b.destroyed(s)
}

func TestSidecar_hangs(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.timing.PulseAnswer = 300 * time.Millisecond
	s := b.startServing()
	must.NoError(t, s.Signal(syscall.SIGSTOP))
	eventually(t, b.sawEvent("Envoy hangs: it has not answered 3 times in a row; it is killed"))
	eventually(t, b.sawEvent("after the crash (generation 1,"))
	b.destroyed(s)
}

func TestSidecar_ignoresSIGTERM(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Stubborn)
	s := b.started()
	s.Stop(syscall.SIGTERM, 300*time.Millisecond)
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	b.destroyed(s)
}

// A stop withdraws first, then waits for the connections of peers.
func TestSidecar_drain(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Busy)
	b.startApp()
	s := b.started()
	serves(t, s)
	b.connect()
	go s.Stop(syscall.SIGTERM, 10*time.Second)
	eventually(t, b.sawEvent("Draining: 1 connections from peers"))
	must.Eq(t, sidecar.Draining, s.Status().Phase)
	must.Nil(t, b.consul.Proxy(), must.Sprint("withdrawn before anything is refused"))
	isDone(t, s)
	b.mustSay("Drained in")
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	b.destroyed(s)
}

func TestSidecar_drainWithoutEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Clinging)
	s := b.started()
	b.connect()
	s.Stop(syscall.SIGTERM, 5*time.Second)
	b.mustSay("Not drained: 1 connections from peers are still open after")
	must.Eq(t, 0, s.Status().Exit.Code, must.Sprint("there was time left for SIGTERM"))
	b.destroyed(s)
}

// How it went is also told when there is no time for more than that peers hear of
// it.
func TestSidecar_drainTooShort(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Clinging)
	s := b.startServing() // with a second for the drain
	b.connect()
	s.Stop(syscall.SIGTERM, 10*time.Second)
	b.mustSay("Not drained: 1 connections from peers are still open after")
	must.Eq(t, 0, s.Status().Exit.Code)
	b.destroyed(s)
}

// A Consul that accepts connections and never answers takes neither the time
// that Envoy has to end, nor the news of its end.
func TestSidecar_consulHangs(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.consul.Hang()

	began := time.Now()
	s.Stop(syscall.SIGTERM, 4*time.Second)
	must.Less(t, 4*time.Second, time.Since(began))
	must.Eq(t, 0, s.Status().Exit.Code, must.Sprint("Envoy had time to end by itself"))
	b.mustSay("could not withdraw it")

	b.consul.Resume()
	b.destroyed(s)
}
