package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/drivers/proto"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// keyboard is a user at `nomad alloc exec`: what he types, and what he sees.
type keyboard struct {
	typed chan *drivers.ExecTaskStreamingRequestMsg

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
	result         *proto.ExitResult // nil before the command has ended
}

// newKeyboard types some lines, and then the end of the input.
func newKeyboard(lines ...string) *keyboard {
	k := &keyboard{typed: make(chan *drivers.ExecTaskStreamingRequestMsg, len(lines)+1)}
	defer close(k.typed)
	for _, line := range lines {
		k.typed <- &drivers.ExecTaskStreamingRequestMsg{Stdin: &proto.ExecTaskStreamingIOOperation{Data: []byte(line)}}
	}
	k.typed <- &drivers.ExecTaskStreamingRequestMsg{Stdin: &proto.ExecTaskStreamingIOOperation{Close: true}}
	return k
}

// Recv implements drivers.ExecTaskStream.
func (k *keyboard) Recv() (*drivers.ExecTaskStreamingRequestMsg, error) {
	if message, ok := <-k.typed; ok {
		return message, nil
	}
	return nil, io.EOF
}

// Send implements drivers.ExecTaskStream.
func (k *keyboard) Send(message *drivers.ExecTaskStreamingResponseMsg) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stdout.Write(message.GetStdout().GetData())
	k.stderr.Write(message.GetStderr().GetData())
	if message.GetExited() {
		k.result = message.GetResult()
	}
	return nil
}

func (k *keyboard) sees() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stdout.String()
}

// streamed runs a command as `nomad alloc exec` does.
func (h *harness) streamed(ctx context.Context, task *drivers.TaskConfig, tty bool, k *keyboard, command ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	raw, ok := h.DriverPlugin.(drivers.ExecTaskStreamingRawDriver)
	must.True(h.t, ok)
	return raw.ExecTaskStreamingRaw(ctx, task.ID, command, tty, k)
}

// Commands run as the proxy's user, in the task's directory and with its environment
// but the tokens.
func TestRPC_exec(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	dir := w.task.TaskDir().Dir
	where := fmt.Sprintf("%d %s -", taskUser, dir)
	const script = `echo "$(id -u) $PWD $CONSUL_HTTP_TOKEN-"; echo oh >&2; exit 3`

	result, err := h.ExecTask(w.task.ID, []string{"/bin/sh", "-c", script}, 10*time.Second)
	must.NoError(t, err)
	must.Eq(t, 3, result.ExitResult.ExitCode)
	must.Eq(t, where+"\n", string(result.Stdout))
	must.Eq(t, "oh\n", string(result.Stderr))

	k := newKeyboard()
	must.NoError(t, h.streamed(t.Context(), w.task, false, k, "/bin/sh", "-c", script))
	must.Eq(t, 3, k.result.GetExitCode())
	must.Eq(t, where+"\n", k.sees())
	must.Eq(t, "oh\n", k.stderr.String())

	k = newKeyboard("one\n", "two\n")
	must.NoError(t, h.streamed(t.Context(), w.task, false, k, "cat"))
	must.Eq(t, "one\ntwo\n", k.sees())
	must.Eq(t, 0, k.result.GetExitCode())

	k = newKeyboard()
	must.NoError(t, h.streamed(t.Context(), w.task, true, k, "/bin/sh", "-c", "test -t 1 && exit 7"))
	must.Eq(t, 7, k.result.GetExitCode(), must.Sprint("it has a terminal"))

	_, err = h.ExecTask(w.task.ID, []string{"/nowhere/command"}, 10*time.Second)
	must.ErrorContains(t, err, "no such file or directory")
	must.ErrorContains(t, h.streamed(t.Context(), w.task, false, newKeyboard(), "/nowhere/command"), "no such file or directory")
	_, err = h.ExecTask(w.task.ID, nil, 10*time.Second)
	must.ErrorContains(t, err, "no command is given")
}

// A command ends when its time is over, its user has gone, or its task has ended.
func TestRPC_execEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	sleeping := func(name string) []string { // with a child; what is left would be found by the name
		return []string{"/bin/sh", "-c", fmt.Sprintf(`echo begun; sh -c "sleep 300; : %s"; :`, filepath.Join(w.task.AllocDir, name))}
	}
	gone := func(name string) func() bool {
		return func() bool { return !isRunning(t, filepath.Join(w.task.AllocDir, name)) }
	}

	_, err = h.ExecTask(w.task.ID, sleeping("slow"), 300*time.Millisecond)
	must.ErrorContains(t, err, "did not end within 300ms")
	eventually(t, "the command's end after its time", gone("slow"))

	ctx, leave := context.WithCancel(t.Context())
	k, ended := newKeyboard(), make(chan error, 1)
	go func() { ended <- h.streamed(ctx, w.task, false, k, sleeping("left")...) }()
	eventually(t, "a beginning", func() bool { return strings.HasPrefix(k.sees(), "begun") })
	must.False(t, gone("left")())
	leave()
	must.Error(t, <-ended)
	eventually(t, "the command's end after its user has left", gone("left"))

	k = newKeyboard()
	go func() { ended <- h.streamed(t.Context(), w.task, false, k, sleeping("orphan")...) }()
	eventually(t, "a beginning", func() bool { return strings.HasPrefix(k.sees(), "begun") })
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	must.NoError(t, <-ended)
	must.Eq(t, int32(syscall.SIGKILL), k.result.GetSignal())
	eventually(t, "the command's end with its task", gone("orphan"))
	w.clean()
}
