package sidecar

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// inCgroup gives the sidecar a group whose kernel is the test: it says how many
// processes were killed for want of memory.
func (b *bench) inCgroup() (oomKills func(count string)) {
	dir := b.t.TempDir()
	b.spec.Run.Cgroup = process.Cgroup{Memory: dir, Limits: process.Limits{Memory: 64 << 20}}
	for _, file := range []string{"memory.limit_in_bytes", "memory.oom_control"} {
		must.NoError(b.t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	}
	return func(count string) {
		must.NoError(b.t, os.WriteFile(filepath.Join(dir, "memory.oom_control"), []byte("oom_kill "+count+"\n"), 0o600))
	}
}

const outOfMemory = "Envoy was killed by the kernel: out of memory (limit 64 MB)"

func TestSidecar_outOfMemory(t *testing.T) {
	b := newBench(t, wellBehaved)
	oomKills := b.inCgroup()
	oomKills("1") // of an earlier run of the task
	s, err := b.start()
	must.NoError(t, err)
	must.Eq(t, 1, s.State().OOMKills)
	oomKills("2")
	must.NoError(t, s.Signal(syscall.SIGKILL))
	<-s.Done()
	must.True(t, s.Status().Exit.OOMKilled)
	must.True(t, b.sawEvent(outOfMemory)())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// A kill that has nothing to do with memory, in a group where there was one.
func TestSidecar_killedOtherwise(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.inCgroup()("1")
	s, err := b.start()
	must.NoError(t, err)
	must.NoError(t, s.Signal(syscall.SIGKILL))
	<-s.Done()
	must.False(t, s.Status().Exit.OOMKilled)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// One that was found again, alive or too late.
func TestSidecar_recoveredOutOfMemory(t *testing.T) {
	b := newBench(t, wellBehaved)
	oomKills := b.inCgroup()
	first, err := b.start()
	must.NoError(t, err)
	state := first.State()
	again, err := Attach(t.Context(), b.spec, state, b.host())
	must.NoError(t, err)
	oomKills("1")
	must.NoError(t, again.Signal(syscall.SIGKILL))
	<-again.Done()
	must.True(t, again.Status().Exit.OOMKilled)
	<-first.Done()

	late, err := Attach(t.Context(), b.spec, state, b.host())
	must.NoError(t, err)
	<-late.Done()
	must.True(t, late.Status().Exit.OOMKilled)
	must.True(t, late.Status().Exit.Unobserved)
	must.True(t, b.sawEvent("Envoy exited while unobserved, and the kernel had killed for it: out of memory (limit 64 MB)")())
	must.NoError(t, late.Destroy(t.Context()))
	b.clean()
}
