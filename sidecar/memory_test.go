package sidecar_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/process"
)

// inCgroup gives the sidecar a group whose kernel is the test: it says how many
// processes were killed for want of memory.
func (b *bench) inCgroup() (oomKills func(count string)) {
	dir := b.t.TempDir()
	b.life.Run.Cgroup = process.Cgroup{Memory: dir, CPU: dir, Limits: process.Limits{Memory: 64 << 20}}
	for _, file := range []string{"memory.limit_in_bytes", "memory.oom_control"} {
		must.NoError(b.t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
	}
	return func(count string) {
		must.NoError(b.t, os.WriteFile(filepath.Join(dir, "memory.oom_control"), []byte("oom_kill "+count+"\n"), 0o600))
	}
}

// uses says how much memory is used in that group, all of it by processes.
func (b *bench) uses(bytes int) {
	for file, content := range map[string]string{
		"memory.stat":               fmt.Sprintf("total_rss %d\ntotal_cache 0\ntotal_swap 0\n", bytes),
		"memory.usage_in_bytes":     fmt.Sprintln(bytes),
		"memory.max_usage_in_bytes": fmt.Sprintln(bytes),
		"cpu.stat":                  "",
		"cpuacct.stat":              "",
	} {
		must.NoError(b.t, os.WriteFile(filepath.Join(b.life.Run.Cgroup.Memory, file), []byte(content), 0o600))
	}
}

const outOfMemory = "Envoy was killed by the kernel: out of memory (limit 64 MB)"

func TestSidecar_outOfMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	oomKills := b.inCgroup()
	oomKills("1") // of an earlier run of the task
	s := b.started()
	must.Eq(t, 1, s.State().OOMKills)
	oomKills("2")
	b.crash(s)
	must.True(t, s.Status().Exit.OOMKilled)
	b.mustSay(outOfMemory)
	b.destroyed(s)
}

// A kill that has nothing to do with memory, in a group where there was one.
func TestSidecar_killedOtherwise(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.inCgroup()("1")
	s := b.started()
	b.crash(s)
	must.False(t, s.Status().Exit.OOMKilled)
	b.destroyed(s)
}

// One that was found again, alive or too late.
func TestSidecar_recoveredOutOfMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	oomKills := b.inCgroup()
	first := b.started()
	state := first.State()
	again := b.attach(state)
	oomKills("1")
	b.crash(again)
	must.True(t, again.Status().Exit.OOMKilled)

	late := b.attach(state)
	isDone(t, late)
	must.True(t, late.Status().Exit.OOMKilled)
	must.True(t, late.Status().Exit.Unobserved)
	b.mustSay("Envoy exited while unobserved, and the kernel had killed for it: out of memory (limit 64 MB)")
	b.destroyed(late)
}

// Where two generations have used the memory up, a third waits.
func TestHotRestart_noRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.inCgroup()
	s := b.startServing()
	b.connect()
	b.restarted(s)
	b.uses(48 << 20)
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("A hot restart is to follow (SIGHUP) when generation 0 has left, as the task's memory is too little for another one beside"))
	eventually(t, func() bool { return s.Status().Epoch == 2 })
	b.mustSay("Generation 0 has left")
	b.destroyed(s)
}
