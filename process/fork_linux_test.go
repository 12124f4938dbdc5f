package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// A program that the kernel is kept from executing, as by a lease on its file, holds up
// nothing but its own start: neither others, nor this process itself. It is ended.
func TestStart_held(t *testing.T) {
	t.Parallel()
	path, _ := leased(t)

	dir := openDir(t, "/")
	held := make(chan error)
	go func() {
		_, err := Start(Launch{Path: path, Dir: dir, User: somebody})
		held <- err
	}()
	eventually(t, func() bool { return len(heldChildren(t, somebody)) > 0 })
	for range 5 {
		runtime.GC()
		must.NoError(t, startsAndEnds(dir))
	}
	stuck := heldChildren(t, somebody)
	select {
	case err := <-held:
		t.Fatal("the start was over before the others: ", err)
	default:
	}
	err := <-held
	must.ErrorContains(t, err, "start "+path+": the kernel did not execute it within 10s, and it was killed")
	must.ErrorContains(t, err, "user "+somebody.Name)
	must.Len(t, 1, stuck)
	eventually(t, func() bool { return unix.Kill(stuck[0], 0) == unix.ESRCH })
}

// leased is a program that the kernel does not execute until the lease on it is given back.
func leased(t *testing.T) (path string, lease *os.File) {
	t.Helper()
	path = filepath.Join(publicDir(t), "leased")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
	lease, err := os.Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = lease.Close() })
	_, err = unix.FcntlInt(lease.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must.NoError(t, err)
	return path, lease
}

// One that is held has no part in how others are heard, where it cannot close what is theirs, either.
func TestStart_heldBeside(t *testing.T) {
	t.Parallel()
	path, lease := leased(t)

	const others = 64
	dir, started := openDir(t, "/"), make(chan error, others)
	for range others {
		go func() { started <- startsAndEnds(dir) }()
	}
	held := make(chan error, 1)
	goOnOwnThread(func() {
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err = errors.Join(err, forbid(unix.SYS_CLOSE_RANGE)); err == nil {
			var p *Process
			if p, err = Start(Launch{Path: path, Dir: dir}); err == nil {
				<-p.Done()
			}
		}
		held <- err
	})
	for range others {
		must.NoError(t, <-started)
	}
	_, err := unix.FcntlInt(lease.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // to close it is not enough: the child has it, too
	must.NoError(t, err)
	must.NoError(t, <-held)
}

func startsAndEnds(dir *os.File) error {
	p, err := Start(Launch{Path: "/bin/true", Dir: dir, User: somebody})
	if err == nil {
		<-p.Done()
	}
	return err
}

// heldChildren are the children of this process that wait as a user for a lease to be given
// back.
func heldChildren(t *testing.T, user User) (pids []int) {
	t.Helper()
	names, err := os.ReadDir("/proc/self/task")
	must.NoError(t, err)
	for _, task := range names {
		children, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children") // none of a thread that has ended
		for child := range strings.FieldsSeq(string(children)) {
			pid, err := strconv.Atoi(child)
			must.NoError(t, err)
			where, _ := os.ReadFile("/proc/" + child + "/wchan")
			status, _ := os.ReadFile("/proc/" + child + "/status")
			if strings.Contains(string(where), "break_lease") && strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", user.UID)) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// What a child cannot do before it is the program is said, with what it was for.
func TestStart_steps(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Launch){
		"take its terminal":                            func(l *Launch) { l.Files = make([]*os.File, 3); l.Terminal = true; l.Files[0] = l.Dir },
		"start /bin/nothing: no such file":             func(l *Launch) { l.Path = "/bin/nothing" },
		"searchable for all users":                     func(l *Launch) { l.Path = "/etc/passwd"; l.User = somebody },
		"its environment":                              func(l *Launch) { l.Env = []string{"A=\x00"} },
		"its arguments":                                func(l *Launch) { l.Args = []string{"\x00"} },
		"join the network namespace: open /nowhere":    func(l *Launch) { l.Network = "/nowhere" },
		"join the network namespace /proc/self/ns/uts": func(l *Launch) { l.Network = "/proc/self/ns/uts" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			l := Launch{Path: "/bin/true", Dir: openDir(t, "/")}
			change(&l)
			_, err := Start(l)
			must.ErrorContains(t, err, want)
		})
	}
}

// A child has nothing of ours open but what it is given, and its signals as a program has.
func TestStart_inherits(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	must.NoError(t, err)
	defer func() { _, _ = reader.Close(), writer.Close() }()
	open, err := unix.Dup(int(reader.Fd())) // as by a library that forgets to say so
	must.NoError(t, err)
	defer func() { _ = unix.Close(open) }()
	got, err := Run(t.Context(), shell(t, Cgroup{}, "while read -r line; do case $line in Sig[BI]*) echo $line;; esac; done < /proc/$$/status; ls /proc/$$/fd"), ample)
	must.NoError(t, err)
	status, err := os.ReadFile("/proc/self/status")
	must.NoError(t, err)
	_, ignored, _ := strings.Cut(string(status), "SigIgn:")
	want := []string{"SigBlk:", "0000000000000000", "SigIgn:", strings.Fields(ignored)[0], "0", "1", "2"}
	must.Eq(t, want, strings.Fields(string(got.Stdout)))
}

// What an agent was given to hand on (AmbientCapabilities of a systemd unit, or the
// inheritable ones of a container) is not handed on.
func TestStart_handsNothingOn(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root has capabilities to hand on")
	}
	l := shell(t, Cgroup{}, "while read -r line; do case $line in CapInh*|CapPrm*|CapAmb*) echo $line;; esac; done < /proc/$$/status")
	var got Result
	must.NoError(t, onOwnThread(func() (err error) {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err := unix.Capget(&header, &sets[0]); err != nil {
			return err
		}
		sets[0].Inheritable = 1 << unix.CAP_KILL
		if err := unix.Capset(&header, &sets[0]); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_KILL, 0, 0); err != nil {
			return err
		}
		got, err = Run(t.Context(), l, ample)
		return err
	}))
	const none = "0000000000000000"
	must.Eq(t, "CapInh: "+none+" CapPrm: "+none+" CapAmb: "+none, strings.Join(strings.Fields(string(got.Stdout)), " "))
}
