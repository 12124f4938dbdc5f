package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
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
	cmd, err := p.command(p.ctx, id, args)
	if err != nil {
		return nil, err
	}
	defer cmd.release()
	result, err := process.Run(cmd.ctx, cmd.launch, process.Limit{Time: timeout, Output: drivers.CheckBufSize})
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: result.Stdout, Stderr: result.Stderr, ExitResult: exitResult(result.Exit, "")}, nil
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
	cmd, err := p.command(ctx, id, opts.Command)
	if err != nil {
		return nil, err
	}
	defer cmd.release()
	run := cmd.stream
	if opts.Tty {
		run = cmd.terminal
	}
	exit, err := run(opts)
	if err != nil {
		return nil, err
	}
	return exitResult(exit, ""), nil
}

// command is one that is about to run beside a task's proxy, as its user, with its
// environment and in its network and cgroup; ctx ends it.
type command struct {
	ctx     context.Context
	launch  process.Launch
	release func() // gives back what is held for it
}

func (p *Plugin) command(ctx context.Context, id string, args []string) (*command, error) {
	t, err := p.tasks.get(id)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, errors.New("no command is given to execute in the task")
	}
	path, err := commandPath(args[0])
	if err != nil {
		return nil, err
	}
	taskDir := t.config.TaskDir().Dir
	dir, err := os.Open(taskDir)
	if err != nil {
		return nil, fmt.Errorf("open the task's directory: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // a command does not outlive its task
		select {
		case <-t.sidecar.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return &command{
		ctx: ctx,
		launch: process.Launch{
			Path:    path,
			Args:    args[1:],
			Env:     append(envoyEnv(t.config), "PATH="+os.Getenv("PATH"), "PWD="+taskDir),
			Dir:     dir,
			User:    t.sidecar.User(),
			Cgroup:  taskCgroup(t.config),
			Network: network(t.config),
		},
		release: func() {
			cancel()
			_ = dir.Close()
		},
	}, nil
}

// commandPath finds a name in the PATH of Nomad's agent; with a slash in it, it is a path
// in the task's directory.
func commandPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find the command %q: %w", name, errors.Unwrap(err))
	}
	return path, nil
}

func (c *command) stream(opts *drivers.ExecOptions) (process.Exit, error) {
	return process.Stream(c.ctx, c.launch, process.Streams{Stdin: opts.Stdin, Stdout: opts.Stdout, Stderr: opts.Stderr, Linger: slowReader})
}

func (c *command) terminal(opts *drivers.ExecOptions) (process.Exit, error) {
	terminal, inside, err := pty.Open()
	if err != nil {
		return process.Exit{}, fmt.Errorf("open a terminal: %w", err)
	}
	defer func() { _ = terminal.Close() }()
	c.launch.Terminal, c.launch.Files = true, []*os.File{inside, inside, inside}
	running, err := process.StartCommand(c.ctx, c.launch)
	_ = inside.Close()
	if err != nil {
		return process.Exit{}, err
	}
	go func() { _, _ = io.Copy(terminal, opts.Stdin) }()
	go c.resize(terminal, opts.ResizeCh)
	shown := make(chan struct{})
	go func() { // reading ends with an error when the last process has closed the terminal
		defer close(shown)
		_, _ = io.Copy(opts.Stdout, terminal)
	}()
	return running.WaitRead(shown, slowReader)
}

// resize follows the user's window.
func (c *command) resize(terminal *os.File, sizes <-chan drivers.TerminalSize) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: uint16(size.Height), Cols: uint16(size.Width)})
		case <-c.ctx.Done():
			return
		}
	}
}
