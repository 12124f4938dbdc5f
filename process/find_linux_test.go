package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoenig/test/must"
)

// The kernel tells a directory without the symbolic links on the way to it.
func TestWorkingIn_symlink(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	must.NoError(t, os.Symlink(real, link))
	dir := filepath.Join(link, "run")
	must.NoError(t, os.Mkdir(dir, 0o700))
	cmd := exec.CommandContext(t.Context(), "sleep", "300")
	cmd.Dir = dir
	must.NoError(t, cmd.Start())
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	found, err := WorkingIn(dir, User{}, Cgroup{})
	must.NoError(t, err)
	must.Len(t, 1, found)
	must.Eq(t, cmd.Process.Pid, found[0].PID)
}

// Where there is a group, only its processes are looked at.
func TestWorkingIn_group(t *testing.T) {
	dir := t.TempDir()
	var pids []int
	for range 2 {
		cmd := exec.CommandContext(t.Context(), "sleep", "300")
		cmd.Dir = dir
		must.NoError(t, cmd.Start())
		defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
		pids = append(pids, cmd.Process.Pid)
	}
	found := func(group Cgroup) []int {
		ids, err := WorkingIn(dir, User{}, group)
		must.NoError(t, err)
		var found []int
		for _, id := range ids {
			found = append(found, id.PID)
		}
		slices.Sort(found)
		return found
	}
	slices.Sort(pids)
	group := t.TempDir() // the test is its kernel
	must.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), fmt.Appendf(nil, "1\n%d\n", pids[1]), 0o600))
	must.Eq(t, pids[1:], found(Cgroup{Freezer: group}))
	must.Eq(t, pids[1:], found(Cgroup{Unified: group}))
	must.Eq(t, pids, found(Cgroup{Unified: filepath.Join(group, "gone")}))
	must.Eq(t, pids, found(Cgroup{CPUSet: group}), must.Sprint("others are in it, too, and not all of ours"))
}
