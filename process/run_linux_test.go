package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// shell is a launch of a script in a directory of its own.
func shell(t *testing.T, c Cgroup, script string) Launch {
	t.Helper()
	dir, err := os.Open(t.TempDir())
	must.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return Launch{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: dir, Cgroup: c}
}

var ample = Limit{Time: 20 * time.Second, Output: 4 << 10}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script                 string
		exit, stdout, stderr, failed string
	}{
		{"both streams", "echo out; echo oops >&2", "exited with status 0", "out\n", "oops\n", ""},
		{"a status", "exit 3", "exited with status 3", "", "", ""},
		{"a signal", "kill -SEGV $$", "was killed by signal 11 (SIGSEGV)", "", "", ""},
		{"no input", "cat; echo end", "exited with status 0", "end\n", "", ""},
		{"no environment of ours", "env | grep -c ^" + role, "exited with status 1", "0\n", "", ""},
		{"more than is kept", "printf '%05000d' 1; echo the end", "exited with status 0", strings.Repeat("0", 4<<10-9) + "1the end\n", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Run(t.Context(), shell(t, Cgroup{}, tc.script), ample)
			must.NoError(t, err)
			must.Eq(t, tc.exit, got.Exit.String())
			must.Eq(t, tc.stdout, string(got.Stdout))
			must.Eq(t, tc.stderr, string(got.Stderr))
		})
	}
}

// Run ends a command that does not end by itself, and keeps what it has printed.
func TestRun_timeout(t *testing.T) {
	t.Parallel()
	began := time.Now()
	got, err := Run(t.Context(), shell(t, Cgroup{}, "echo begun; sleep 300 & sleep 300"), Limit{Time: 300 * time.Millisecond, Output: 100})
	must.EqError(t, err, "run /bin/sh: it did not end within 300ms, and was killed")
	must.ErrorIs(t, err, os.ErrDeadlineExceeded)
	must.Eq(t, "begun\n", string(got.Stdout))
	must.Less(t, 10*time.Second, time.Since(began))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, shell(t, Cgroup{}, "exit 0"), ample)
	must.ErrorIs(t, err, context.Canceled)
}

// A command that prints without end takes neither memory of ours nor more than its time.
func TestRun_endlessOutput(t *testing.T) {
	t.Parallel()
	got, err := Run(t.Context(), shell(t, Cgroup{}, "yes & yes >&2"), Limit{Time: 500 * time.Millisecond, Output: 1000})
	must.ErrorIs(t, err, os.ErrDeadlineExceeded)
	must.Len(t, 1000, got.Stdout)
	must.Len(t, 1000, got.Stderr)
}

// Neither a session of its own nor a double fork lets anything live longer than the
// command where there is a cgroup; without one it holds nobody up.
func TestRun_leavesNobody(t *testing.T) {
	t.Parallel()
	const script = "setsid sh -c 'sleep 300 & sleep 301' & sh -c 'sleep 302 &'; echo done"
	for name, group := range map[string]func(*testing.T) Cgroup{"machine": machineGroup, "v2": unifiedGroup} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := group(t)
			resident, _ := startIn(t, c, "exec sleep 300")
			for range 3 {
				got, err := Run(t.Context(), shell(t, c, script), ample)
				must.NoError(t, err)
				must.Eq(t, "done\n", string(got.Stdout))
				must.SliceEmpty(t, c.cells())
				pids, err := c.Processes()
				must.NoError(t, err)
				must.Eq(t, []int{resident.ID.PID}, pids, must.Sprint("the task itself stays"))
			}
			must.NoError(t, c.Kill())
		})
	}
	t.Run("no cgroup", func(t *testing.T) {
		t.Parallel()
		pidFile := filepath.Join(t.TempDir(), "pid")
		got, err := Run(t.Context(), shell(t, Cgroup{}, fmt.Sprintf("setsid sh -c 'echo $$ >%s; exec sleep 300' & while ! [ -s %[1]s ]; do :; done; echo done", pidFile)), ample)
		must.NoError(t, err)
		must.Eq(t, "done\n", string(got.Stdout))
		must.NoError(t, End(t.Context(), identityIn(t, pidFile)))
	})
}

// identityIn is the process whose pid is in a file.
func identityIn(t *testing.T, path string) Identity {
	t.Helper()
	text, err := os.ReadFile(path)
	must.NoError(t, err)
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	must.NoError(t, err)
	id, err := identify(pid)
	must.NoError(t, err)
	return id
}

// A command is within its task's limits, and is found in it by who ends the task, also
// when nobody has waited for its end.
func TestCommand_belongsToTask(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]func(*testing.T) Cgroup{"machine": machineGroup, "v2": unifiedGroup} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := group(t)
			l := shell(t, c, "setsid sleep 300 & exec sleep 300")
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			must.NoError(t, err)
			defer func() { _ = null.Close() }()
			l.Files = []*os.File{null, null, null}
			command, err := StartCommand(t.Context(), l)
			must.NoError(t, err)
			eventually(t, func() bool { pids, err := c.Processes(); return err == nil && len(pids) == 2 })
			must.Len(t, 1, c.cells())
			must.NoError(t, c.Kill())
			exit, err := command.Wait()
			must.NoError(t, err)
			must.Eq(t, "was killed by signal 9 (SIGKILL)", exit.String())
			must.SliceEmpty(t, c.cells())
		})
	}
}

// A command has done well, whatever becomes of its group.
func TestCommand_stuckGroup(t *testing.T) {
	t.Parallel()
	c := machineGroup(t)
	l := shell(t, c, "read -r _")
	input, output, err := os.Pipe()
	must.NoError(t, err)
	defer func() { _, _ = input.Close(), output.Close() }()
	l.Files = []*os.File{input, nil, nil}
	command, err := StartCommand(t.Context(), l)
	must.NoError(t, err)
	cell := c.cells()[0].tasks()
	must.NoError(t, os.Mkdir(cell+"/within", 0o755))
	must.NoError(t, output.Close())
	exit, err := command.Wait()
	must.NoError(t, err)
	must.Eq(t, "exited with status 1", exit.String()) // by the end of its input
	must.NoError(t, errors.Join(os.Remove(cell+"/within"), os.Remove(cell)))
}

// Strays names a process that left its session and is still in the cgroup.
func TestCgroup_strays(t *testing.T) {
	t.Parallel()
	c := machineGroup(t)
	p, _ := startIn(t, c, "setsid sleep 300 & sleep 301 & wait")
	t.Cleanup(func() { must.NoError(t, c.Kill()) })
	strays := func() []string { return c.Strays([]int{p.ID.PID}) }
	eventually(t, func() bool { // it is called otherwise before it is what it will be
		names := strays()
		return len(names) == 1 && strings.HasPrefix(names[0], `"sleep" (pid `)
	})
	must.NoError(t, p.KillGroup())
	<-p.Done()
	must.Len(t, 1, strays())
	must.NoError(t, c.Kill())
	must.SliceEmpty(t, strays())
	must.SliceEmpty(t, Cgroup{}.Strays(nil))
}

func TestStream(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	in, typed := io.Pipe()
	ended := make(chan Exit, 1)
	go func() {
		exit, err := Stream(t.Context(), shell(t, Cgroup{}, "read line; echo got $line; exit 4"), Streams{Stdin: in, Stdout: &out, Linger: time.Minute})
		if err != nil {
			t.Error(err)
		}
		ended <- exit
	}()
	_, err := io.WriteString(typed, "a line\n")
	must.NoError(t, err)
	must.Eq(t, 4, (<-ended).Code, must.Sprint("the end of the input is not waited for"))
	must.Eq(t, "got a line\n", out.String())
}

// A reader who does not read is not waited for without end.
func TestStream_slowReader(t *testing.T) {
	t.Parallel()
	unread, out := io.Pipe()
	defer func() { _ = unread.Close() }()
	exit, err := Stream(t.Context(), shell(t, Cgroup{}, "echo hello"), Streams{Stdout: out, Linger: 100 * time.Millisecond})
	must.NoError(t, err)
	must.Eq(t, 0, exit.Code)
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		most   int
		writes []string
		want   string
	}{
		{4, nil, ""},
		{4, []string{"ab"}, "ab"},
		{4, []string{"abcd"}, "abcd"},
		{4, []string{"ab", "cde"}, "bcde"},
		{4, []string{"abcdefghij"}, "ghij"},
		{4, []string{"ab", "cdefghijkl", "m"}, "jklm"},
		{4, []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}, "fghi"},
	} {
		t.Run(strings.Join(tc.writes, "|"), func(t *testing.T) {
			t.Parallel()
			kept := &tail{most: tc.most}
			for _, text := range tc.writes {
				n, err := kept.Write([]byte(text))
				must.NoError(t, err)
				must.Eq(t, len(text), n)
				must.LessEq(t, 2*tc.most, len(kept.kept))
			}
			must.Eq(t, tc.want, string(kept.bytes()))
		})
	}
}
