package agents

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Agent is a process of ours: Consul or Nomad.
type Agent struct {
	Name string
	Log  string // path of what it printed

	path string
	args []string
	env  []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts it; also again after Stop or Kill.
func (a *Agent) Start() error {
	log, err := os.OpenFile(a.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(a.path, a.args...)
	cmd.Env = a.env
	cmd.Dir = filepath.Dir(a.Log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for whoever started us
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", a.Name, err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	a.cmd, a.done = cmd, done
	return nil
}

// PID is that of the running process.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Stop ends it as systemd would: SIGTERM, and SIGKILL when that does not help.
func (a *Agent) Stop() error {
	if err := a.signal(syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return a.Kill()
	}
}

// Kill ends it with SIGKILL.
func (a *Agent) Kill() error {
	if err := a.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-a.done
	return nil
}

func (a *Agent) signal(sig syscall.Signal) error {
	if a.cmd == nil {
		return nil
	}
	select {
	case <-a.done:
		return nil
	default:
		return a.cmd.Process.Signal(sig)
	}
}

// within is Within for as long as the agent lives.
func (a *Agent) within(ctx context.Context, limit time.Duration, condition func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func(done <-chan struct{}) {
		select {
		case <-done:
			cancel(fmt.Errorf("%s has ended", a.Name))
		case <-ctx.Done():
		}
	}(a.done)
	return Within(ctx, limit, condition)
}

// Until waits for a condition, and gives its last complaint when ctx ends.
func Until(ctx context.Context, condition func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var complaint error
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		// What was cut off by the end of ctx says less than what was said before.
		if complaint == nil || ctx.Err() == nil {
			complaint = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (waited until: %w)", complaint, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Within is Until with a limit of its own.
func Within(ctx context.Context, limit time.Duration, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s have passed", limit))
	defer cancel()
	return Until(ctx, condition)
}
