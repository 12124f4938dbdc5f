package sidecar_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

const freezerRoot = "/sys/fs/cgroup/freezer"

// freeze keeps a process from everything, its end included, as a dead disk does.
// The function that it gives lets go of it.
func freeze(t *testing.T, pid int) (thaw func()) {
	t.Helper()
	dir := filepath.Join(freezerRoot, fmt.Sprintf("connect-test-%d", pid))
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
		t.Skipf("holds a process that was killed in a freezer of cgroups v1: %v", err)
	}
	must.NoError(t, err)
	set := func(name, value string) { must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(value), 0)) }
	thaw = func() { set("freezer.state", "THAWED") }
	t.Cleanup(func() {
		thaw()
		eventually(t, func() bool { return os.Remove(dir) == nil }) // its process is gone
	})
	set("cgroup.procs", fmt.Sprint(pid))
	set("freezer.state", "FROZEN")
	eventually(t, func() bool {
		state, _ := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return string(state) == "FROZEN\n"
	})
	return thaw
}

// A process that was killed and does not end is said to be so: it may still have
// its ports.
func TestSidecar_stuck(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.timing.End, b.timing.Pulse = 300*time.Millisecond, time.Hour
	s := b.started()
	thaw := freeze(t, s.Status().Process.PID)
	began := time.Now()
	s.Stop(syscall.SIGTERM, time.Second)
	must.Less(t, 4*time.Second, time.Since(began))
	must.Eq(t, sidecar.Exited, s.Status().Phase)
	must.True(t, s.Status().Exit.Stuck)
	b.mustSay("Envoy was killed and does not end; what holds it is in /proc/<pid>/stack, and its ports may still be taken")
	must.ErrorContains(t, s.Destroy(t.Context()), "is not gone 300ms after it was killed")
	thaw()
	b.destroyed(s)
}
