package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"
)

func startShell(t *testing.T, script string) *Process { return startShellIn(t, "", script) }

func startShellIn(t *testing.T, network Network, script string) *Process {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer func() { _ = null.Close() }()
	dir, err := os.Open(t.TempDir())
	must.NoError(t, err)
	defer func() { _ = dir.Close() }()
	p, err := Start(Launch{Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Files: []*os.File{null, null, null}, Network: network})
	must.NoError(t, err)
	t.Cleanup(func() { _ = p.KillGroup() })
	return p
}

func TestProcess_exit(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		want         Exit
		text         string
	}{
		{"success", "exit 0", Exit{}, "exited with status 0"},
		{"failure", "exit 42", Exit{Code: 42}, "exited with status 42"},
		{"signal", "kill -SEGV $$", Exit{Code: 139, Signal: syscall.SIGSEGV}, "was killed by signal 11 (SIGSEGV)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := startShell(t, tc.script)
			<-p.Done()
			got := p.Exit()
			must.Eq(t, tc.text, got.String())
			got.At = time.Time{}
			must.Eq(t, tc.want, got)
			must.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
		})
	}
}

// The child gets no privileges by execve, has a session of its own, and its
// whole group is killed.
func TestProcess_confined(t *testing.T) {
	p := startShell(t, "sleep 300 & sleep 300")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.ID.PID))
	must.NoError(t, err)
	must.StrContains(t, string(status), "NoNewPrivs:\t1")
	must.NoError(t, p.KillGroup())
	<-p.Done()
	eventually(t, func() bool { return syscall.Kill(-p.ID.PID, 0) == syscall.ESRCH })
}

// What a process leaves behind in its group ends with it.
func TestProcess_leavesNobody(t *testing.T) {
	p := startShell(t, "sleep 300 & exit 0")
	<-p.Done()
	must.Eq(t, "exited with status 0", p.Exit().String())
	eventually(t, func() bool { return syscall.Kill(-p.ID.PID, 0) == syscall.ESRCH })
}

// A process whose parent is somebody else is watched, signalled, and its exit
// status known: this is how a plugin finds the Envoys of its earlier life.
func TestAttach_stranger(t *testing.T) {
	// The shell is the parent of the process that is attached to. It reaps it
	// at once (wait) or late (read): both must give the status.
	for name, script := range map[string]string{
		"reaped at once": `sh -c 'sleep 300' & echo $!; wait`,
		"left a zombie":  `sleep 300 & echo $!; exec cat`,
	} {
		t.Run(name, func(t *testing.T) {
			parent := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
			out, err := parent.StdoutPipe()
			must.NoError(t, err)
			in, err := parent.StdinPipe()
			must.NoError(t, err)
			must.NoError(t, parent.Start())
			defer func() { _ = in.Close(); _ = parent.Wait() }()
			p := attachToPrinted(t, out)
			must.NoError(t, p.Signal(syscall.SIGKILL))
			<-p.Done()
			if got := p.Exit(); !got.Unobserved || kernelKeepsExits(t) {
				must.Eq(t, "was killed by signal 9 (SIGKILL)", got.String())
			}
		})
	}
}

// attachToPrinted finds the process whose pid is printed first.
func attachToPrinted(t *testing.T, out io.Reader) *Process {
	t.Helper()
	line, err := bufio.NewReader(out).ReadString('\n')
	must.NoError(t, err)
	var pid int
	_, err = fmt.Sscan(line, &pid)
	must.NoError(t, err)
	id, err := identify(pid)
	must.NoError(t, err)
	p, err := Attach(id)
	must.NoError(t, err)
	return p
}

// kernelKeepsExits says whether a pidfd tells how a reaped process ended: since
// Linux 6.15.
func kernelKeepsExits(t *testing.T) bool {
	cmd := exec.CommandContext(t.Context(), "true")
	must.NoError(t, cmd.Start())
	pidfd, err := openPIDFD(cmd.Process.Pid)
	must.NoError(t, err)
	defer func() { _ = pidfd.Close() }()
	must.NoError(t, cmd.Wait())
	_, ok := pidfdExit(pidfd)
	return ok
}

func TestAttach_another(t *testing.T) {
	p := startShell(t, "sleep 300")
	for name, change := range map[string]func(*Identity){
		"another start time": func(id *Identity) { id.StartTime++ },
		"another boot":       func(id *Identity) { id.BootID = "before" },
		"no such pid":        func(id *Identity) { id.PID = 1 << 22 },
	} {
		t.Run(name, func(t *testing.T) {
			id := p.ID
			change(&id)
			got, err := Attach(id)
			must.NoError(t, err)
			must.Nil(t, got)
		})
	}
}

func TestParseStat(t *testing.T) {
	line := "123 (evil ) S 1) Z 1 123 123 0 -1 4194560 1 0 0 0 7 8 0 0 20 0 1 0 4711 0 99 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9"
	st, err := parseStat([]byte(line))
	must.NoError(t, err)
	must.Eq(t, procStat{state: 'Z', utime: 7, stime: 8, startTime: 4711, rss: 99, waitStatus: 9}, st)
	for _, bad := range []string{"", "123 sh S", "123 (sh) S 1 2"} {
		_, err := parseStat([]byte(bad))
		must.Error(t, err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(10*time.Second), wait.Gap(10*time.Millisecond)))
}
