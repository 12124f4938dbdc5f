package sidecar_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// An Envoy that hangs has not said that its successor is ready.
func TestHotRestart_hung(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Hung)
	b.timing.Pulse, b.timing.Request = time.Hour, 300*time.Millisecond
	s := b.startServing()
	first := s.Status().Process
	b.renewWith(fake.Mortal)
	b.hang()
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Hot restart failed (SIGHUP), generation 0 serves on: Envoy exited with status 3 before it was ready; it accepts what it reads"))
	must.Eq(t, first, s.Status().Process)
	must.Eq(t, "passing", b.consul.Ready())
	b.destroyed(s)
}

// startLate starts a sidecar and a hot restart that does not come to its end, and is
// being asked how far it is.
func (b *bench) startLate() *sidecar.Sidecar {
	b.t.Helper()
	b.wrapProgram = func(p sidecar.Program) sidecar.Program { return lateProgram{p} }
	s := b.startServing()
	b.renewWith(fake.Alone)
	must.NoError(b.t, s.Signal(syscall.SIGHUP))
	eventually(b.t, func() bool { return s.Generations() == 2 })
	return s
}

// A hot restart that is broken off leaves the one that serves the current one, until
// that has ended.
func TestHotRestart_brokenOff(t *testing.T) {
	t.Parallel()
	t.Run("by a stop", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fake.WellBehaved)
		s := b.startLate()
		first := s.Status().Process
		s.Stop(syscall.SIGTERM, 10*time.Second)
		must.Eq(t, first, s.Status().Process)
		must.Eq(t, 0, s.Status().Exit.Code, b.story())
		b.mustSay("Stopped: withdrawn from Consul")
		b.destroyed(s)
	})
	t.Run("by a crash", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, fake.WellBehaved)
		s := b.startLate()
		first := s.Status().Process
		b.crash(s)
		must.Eq(t, first, s.Status().Process)
		must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
		must.Eq(t, "critical", b.consul.Ready())
		must.Eq(t, 0, s.Generations())
		b.destroyed(s)
	})
}

// blocked gives a way to read a file that does not answer until the test is over.
func (b *bench) blocked() (read func() error, began <-chan struct{}) {
	fifo := filepath.Join(b.t.TempDir(), "fifo")
	must.NoError(b.t, syscall.Mkfifo(fifo, 0o600))
	begin := make(chan struct{}, 100)
	b.t.Cleanup(func() {
		f, err := os.OpenFile(fifo, os.O_RDWR, 0) // those who wait find somebody there
		must.NoError(b.t, err)
		_ = f.Close()
	})
	return func() error {
		begin <- struct{}{}
		_, err := os.ReadFile(fifo)
		return err
	}, begin
}

// A job's file that never answers keeps nobody from a stop, and no crash unnoticed,
// whoever reads it.
func TestSidecar_fileNeverAnswers(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*bench) *sidecar.Sidecar{
		"node's files":                     (*bench).blockChanged,
		"settings of the next generation":  (*bench).blockSettings,
		"bootstrap of the next generation": (*bench).blockBootstrap,
	} {
		t.Run(name+", stop", func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			s := begin(b)
			began := time.Now()
			s.Stop(syscall.SIGTERM, 10*time.Second)
			must.Less(t, 5*time.Second, time.Since(began))
			must.Eq(t, 0, s.Status().Exit.Code)
			b.destroyed(s)
		})
		t.Run(name+", crash", func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			b.life.ReadyTimeout = 2 * time.Second
			s := begin(b)
			began := time.Now()
			must.NoError(t, s.Signal(syscall.SIGKILL))
			eventually(t, b.sawEvent("Envoy was killed by signal 9 (SIGKILL): it is started again"))
			eventually(t, func() bool { return s.Status().Epoch == 1 || s.Status().Phase == sidecar.Exited })
			must.Less(t, 5*time.Second, time.Since(began))
			b.destroyed(s)
		})
	}
}

func (b *bench) blockChanged() *sidecar.Sidecar {
	s := b.startServing()
	read, began := b.blocked()
	b.change(func(n *node) { n.changed = func() (bool, error) { return false, read() } })
	<-began
	return s
}

func (b *bench) blockSettings() *sidecar.Sidecar {
	s := b.startServing()
	good := b.now().settings
	read, began := b.blocked()
	b.change(func(n *node) { n.settings = func() (envoy.Settings, error) { return envoy.Settings{}, read() } })
	must.NoError(b.t, s.Signal(syscall.SIGHUP))
	<-began
	b.change(func(n *node) { n.settings = good }) // clean looks for what runs
	return s
}

func (b *bench) blockBootstrap() *sidecar.Sidecar {
	b.own = nil
	b.write("node: {id: front-proxy}\n")
	s := b.startServing()
	read, began := b.blocked()
	b.change(func(n *node) { n.bootstrap = func() ([]byte, error) { return nil, read() } })
	must.NoError(b.t, s.Signal(syscall.SIGHUP))
	<-began
	return s
}

// Nor does one with the token that Consul asks for.
func TestSidecar_tokenNeverAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.access.Token = "old"
	s := b.startServing()
	read, _ := b.blocked()
	b.change(func(n *node) { n.tokens = func() (consul.Tokens, error) { return consul.Tokens{}, read() } })
	b.consul.KnowTokens("new")
	began := time.Now()
	s.Stop(syscall.SIGTERM, 4*time.Second)
	must.Less(t, 4*time.Second, time.Since(began))
	must.Eq(t, 0, s.Status().Exit.Code)
	b.mustSay("could not withdraw it")
	b.consul.KnowTokens("old")
	b.destroyed(s)
}
