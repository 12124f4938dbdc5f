package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// makeGroup makes a real one, and removes it when the test has ended.
func makeGroup(t *testing.T, tree string) string {
	t.Helper()
	dir := filepath.Join(cgroupRoot, tree, fmt.Sprintf("connect-test-%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")))
	must.NoError(t, os.Mkdir(dir, 0o755), must.Sprint("these tests make control groups: run them as root"))
	t.Cleanup(func() { eventually(t, func() bool { return unix.Rmdir(dir) == nil }) })
	return dir
}

// machineGroup makes one that the machine's own controllers hold for.
func machineGroup(t *testing.T) Cgroup {
	t.Helper()
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		must.NoError(t, writeControl(cgroupRoot, "cgroup.subtree_control", "+cpu +memory"))
		return Cgroup{Unified: makeGroup(t, "")}
	}
	c := Cgroup{Freezer: makeGroup(t, "freezer"), CPU: makeGroup(t, "cpu"), Memory: makeGroup(t, "memory"), CPUSet: makeGroup(t, "cpuset")}
	for _, name := range []string{"cpuset.mems", "cpuset.cpus"} {
		all, err := os.ReadFile(filepath.Join(cgroupRoot, "cpuset", name))
		must.NoError(t, err)
		must.NoError(t, writeControl(c.CPUSet, name, string(all)))
	}
	return c
}

// unifiedGroup makes one with cgroups v2, which a machine with v1 has beside
// its controllers.
func unifiedGroup(t *testing.T) Cgroup {
	t.Helper()
	for _, tree := range []string{"", "unified"} {
		if _, err := os.Stat(filepath.Join(cgroupRoot, tree, "cgroup.controllers")); err == nil {
			return Cgroup{Unified: makeGroup(t, tree)}
		}
	}
	t.Fatal("cgroups v2 are mounted neither at /sys/fs/cgroup nor at /sys/fs/cgroup/unified")
	return Cgroup{}
}

// startIn runs a shell script in a group; what it prints is in the file.
func startIn(t *testing.T, c Cgroup, script string) (*Process, string) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer func() { _ = null.Close() }()
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	must.NoError(t, err)
	defer func() { _ = out.Close() }()
	dir, err := os.Open(filepath.Dir(path))
	must.NoError(t, err)
	defer func() { _ = dir.Close() }()
	p, err := Start(Launch{Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Files: []*os.File{null, out, null}, Cgroup: c})
	must.NoError(t, err)
	t.Cleanup(func() { _ = p.KillGroup(); <-p.Done() })
	return p, path
}

// A process is born in its group, all that it starts is there, and all of it
// is killed, whatever session it is in. Who starts it stays outside.
func TestCgroup_members(t *testing.T) {
	for name, group := range map[string]func(*testing.T) Cgroup{"machine": machineGroup, "v2": unifiedGroup} {
		t.Run(name, func(t *testing.T) {
			c := group(t)
			must.True(t, c.Exists())
			p, out := startIn(t, c, "cat /proc/self/cgroup; setsid sleep 300 & sleep 300")
			eventually(t, func() bool {
				pids, err := c.Processes()
				return err == nil && len(pids) == 3 // the shell and both sleeps; cat has ended
			})
			born, err := os.ReadFile(out)
			must.NoError(t, err)
			must.Eq(t, len(c.dirs()), strings.Count(string(born), filepath.Base(c.tasks())), must.Sprint(string(born)))
			for _, dir := range c.dirs() {
				eventually(t, func() bool { // the thread that started it has gone
					members, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
					return err == nil && !strings.Contains("\n"+string(members), "\n"+strconv.Itoa(os.Getpid())+"\n")
				})
			}
			must.NoError(t, c.Kill())
			<-p.Done()
			must.Eq(t, "was killed by signal 9 (SIGKILL)", c.Explain(p.Exit(), c.OOMKills()).String())
			pids, err := c.Processes()
			must.NoError(t, err)
			must.SliceEmpty(t, pids)
		})
	}
}

// The files of groups that there are not stop nobody.
func TestCgroup_gone(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	for name, c := range map[string]Cgroup{
		"v2":   {Unified: gone, Limits: Limits{Memory: 1}},
		"v1":   {Freezer: gone, CPU: gone, Memory: gone, CPUSet: gone, Limits: Limits{Memory: 1}},
		"none": {},
	} {
		t.Run(name, func(t *testing.T) {
			must.False(t, c.Exists())
			p, _ := startIn(t, c, "exit 0")
			<-p.Done()
			must.Eq(t, "exited with status 0", p.Exit().String())
			must.NoError(t, c.Kill())
			must.Zero(t, c.OOMKills())
		})
	}
}

func TestCgroup_real(t *testing.T) {
	c := machineGroup(t)
	c.Limits = Limits{Memory: 8 << 20, CPUShares: 512}

	t.Run("usage is that of all, those that have ended too", func(t *testing.T) {
		_, _ = startIn(t, c, "(i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done); exec sleep 300")
		eventually(t, func() bool {
			u, err := c.Usage()
			must.NoError(t, err)
			return u.User+u.System > 0 && u.RSS > 0 && u.Group.Memory >= u.RSS && u.Group.MaxMemory >= u.Group.Memory && u.Group.Memory < 8<<20
		})
		must.NoError(t, c.Kill())
	})

	t.Run("out of memory", func(t *testing.T) {
		before := c.OOMKills()
		p, _ := startIn(t, c, "exec tail /dev/zero") // there is no end of its only line
		select {
		case <-p.Done():
		case <-time.After(time.Minute):
			t.Fatal("the limit does not hold")
		}
		exit := c.Explain(p.Exit(), before)
		must.Eq(t, syscall.SIGKILL, exit.Signal)
		must.Eq(t, "was killed by the kernel: out of memory (limit 8 MB)", exit.String())
		must.Eq(t, before+1, c.OOMKills())
	})
}

// Agents are often spared by the kernel when memory is short. (Every user may
// have the kernel do the contrary.)
func TestStart_killable(t *testing.T) {
	must.NoError(t, os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0))
	defer func() { must.NoError(t, os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0)) }()
	p := startShell(t, "exec sleep 300")
	adj, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.ID.PID))
	must.NoError(t, err)
	must.Eq(t, "0\n", string(adj))
}

// The main thread cannot end, and this process' memory is accounted where it is.
func TestGoOnOwnThread(t *testing.T) {
	for range 20 {
		tid := make(chan int)
		goOnOwnThread(func() { tid <- unix.Gettid() })
		thread := <-tid
		must.NotEq(t, os.Getpid(), thread)
		eventually(t, func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
			return os.IsNotExist(err)
		})
	}
}
