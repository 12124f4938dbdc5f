package scale

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// cgroups makes the groups that Nomad would have made for tasks.
type cgroups struct {
	t  testing.TB
	v1 bool
}

const (
	groupRoot   = "/sys/fs/cgroup"
	groupParent = "connect-scale"
)

func newCgroups(t testing.TB) cgroups {
	_, err := os.Stat(filepath.Join(groupRoot, "freezer"))
	g := cgroups{t, err == nil}
	parent := filepath.Join(groupRoot, groupParent)
	if g.v1 {
		parent = filepath.Join(groupRoot, "freezer", groupParent)
	}
	if err := os.Mkdir(parent, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal("make a cgroup:", err)
	}
	t.Cleanup(func() {
		children, _ := filepath.Glob(parent + "/*")
		for _, child := range children {
			_ = os.Remove(child) // files of the kernel's stay
		}
		_ = os.Remove(parent)
	})
	return g
}

// of makes that of a task, and gives the path that Nomad tells the driver.
func (g cgroups) of(alloc, task string) string {
	scope := alloc + "." + task
	dir := filepath.Join(groupRoot, groupParent, scope+".scope")
	path := dir
	if g.v1 {
		dir, path = filepath.Join(groupRoot, "freezer", groupParent, scope), filepath.Join(groupRoot, "cpuset", groupParent, "share")
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		g.t.Error("make a cgroup:", err)
	}
	return path
}

// cpuTime is what a process has used.
func cpuTime(t testing.TB, pid int) time.Duration {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	must.NoError(t, err)
	var sum time.Duration
	for _, thread := range threads {
		raw, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(raw))[0], 10, 64)
		must.NoError(t, err)
		sum += time.Duration(ns)
	}
	return sum
}

// privateMemory is what a process alone has written to, in bytes: what it has of its
// file the kernel may drop and read again.
func privateMemory(t testing.TB, pid int) int {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	must.NoError(t, err)
	for line := range bytes.Lines(rollup) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "Private_Dirty:" {
			kib, err := strconv.Atoi(string(fields[1]))
			must.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatalf("the memory of process %d is not told", pid)
	return 0
}

// connections counts those that a process has open to a port.
func connections(t testing.TB, pid, port int) int {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	must.NoError(t, err)
	inodes := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && strings.HasSuffix(fields[2], suffix) && fields[3] == "01" {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
	open := 0
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && inodes[target] {
			open++
		}
	}
	return open
}

// availableMemory of the machine, in bytes.
func availableMemory(t testing.TB) uint64 {
	var info unix.Sysinfo_t
	must.NoError(t, unix.Sysinfo(&info))
	return (info.Freeram + info.Bufferram) * uint64(info.Unit)
}
