package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/creack/pty"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
)

// slowReader is how long a user may take to read what a command has printed
// after the command has ended.
const slowReader = time.Minute

// ExecTask implements drivers.DriverPlugin, for script checks.
func (p *Plugin) ExecTask(id string, args []string, timeout time.Duration) (*drivers.ExecTaskResult, error) {
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	defer cancel()
	cmd, release, err := p.command(ctx, id, args)
	if err != nil {
		return nil, err
	}
	defer release()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	result, err := execResult(cmd.Run())
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s did not end within %s", args[0], timeout)
	}
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), ExitResult: result}, nil
}

// ExecTaskStreaming implements drivers.ExecTaskStreamingDriver, for
// `nomad alloc exec`.
func (p *Plugin) ExecTaskStreaming(ctx context.Context, id string, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	// A user who has gone neither reads nor ends his input: who copies from and
	// to him is ended with the call. (Not before: what is on its way would be
	// lost, and the exit code with it.)
	context.AfterFunc(ctx, func() {
		_, _, _ = opts.Stdin.Close(), opts.Stdout.Close(), opts.Stderr.Close()
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, release, err := p.command(ctx, id, opts.Command)
	if err != nil {
		return nil, err
	}
	defer release()
	cmd.WaitDelay = slowReader
	if opts.Tty {
		return execTerminal(ctx, cmd, opts)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not cmd.Stdin: Wait would then wait for the user's input to end.
	go func() {
		_, _ = io.Copy(stdin, opts.Stdin)
		_ = stdin.Close()
	}()
	cmd.Stdout, cmd.Stderr = opts.Stdout, opts.Stderr
	return execResult(cmd.Run())
}

func execTerminal(ctx context.Context, cmd command, opts *drivers.ExecOptions) (*drivers.ExitResult, error) {
	var terminal *os.File
	err := cmd.network.Do(func() (err error) {
		terminal, err = pty.Start(cmd.Cmd)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = terminal.Close() }()
	go func() { _, _ = io.Copy(terminal, opts.Stdin) }()
	go func() {
		for {
			select {
			case size, ok := <-opts.ResizeCh:
				if !ok {
					return
				}
				_ = pty.Setsize(terminal, &pty.Winsize{Rows: uint16(size.Height), Cols: uint16(size.Width)})
			case <-ctx.Done():
				return
			}
		}
	}()
	// Reading ends with an error when the last process has closed the terminal.
	_, _ = io.Copy(opts.Stdout, terminal)
	return execResult(cmd.Wait())
}

// command is one that runs in the network of its task's allocation.
type command struct {
	*exec.Cmd
	network process.Network
}

// Run starts the command, and waits for its end.
func (c command) Run() error {
	if err := c.network.Do(c.Start); err != nil {
		return err
	}
	return c.Wait()
}

// command prepares a command that runs as the proxy's user, in the task's
// directory, with the task's environment. What it holds is given back by
// release when the command has ended.
func (p *Plugin) command(ctx context.Context, id string, args []string) (cmd command, release func(), err error) {
	t, err := p.tasks.get(id)
	if err != nil {
		return cmd, nil, err
	}
	if len(args) == 0 {
		return cmd, nil, errors.New("no command is given to execute in the task")
	}
	user := t.sidecar.User()
	path := t.config.TaskDir().Dir
	dir, err := os.Open(path)
	if err != nil {
		return cmd, nil, fmt.Errorf("open the task's directory: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // a command does not outlive its task
		select {
		case <-t.sidecar.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	cmd = command{exec.CommandContext(ctx, args[0], args[1:]...), network(t.config)}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// The path may lead through directories that only root may search.
	cmd.Dir = fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	cmd.Env = append(envoyEnv(t.config), "PATH="+os.Getenv("PATH"), "PWD="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if user.Switch {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID}
	}
	cmd.WaitDelay = time.Second
	release = func() {
		cancel()
		_ = dir.Close()
	}
	return cmd, release, nil
}

// execResult tells a command that failed from one that could not run.
func execResult(err error) (*drivers.ExitResult, error) {
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well, but left somebody behind who holds its output
		err = nil
	}
	var failed *exec.ExitError
	if err == nil || !errors.As(err, &failed) {
		return &drivers.ExitResult{}, err
	}
	status, ok := failed.Sys().(syscall.WaitStatus)
	if !ok {
		return nil, err
	}
	return exitResult(process.ExitOf(status), ""), nil
}
