package process

import (
	"context"
	"errors"
	"time"
)

// Command is a process that does one thing and ends. All that it started ends with it,
// and it ends with its context at the latest.
type Command struct {
	process *Process
	cell    Cgroup
	ended   chan struct{}
	exit    Exit
	err     error
}

// StartCommand starts one as Start does, in a cgroup of its own within the one of the
// launch.
func StartCommand(ctx context.Context, l Launch) (*Command, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.Cgroup.limit(); err != nil { // it may be the first in it
		return nil, err
	}
	cell, err := l.Cgroup.cell()
	if err != nil {
		return nil, err
	}
	l.Cgroup = cell
	p, err := Start(l)
	if err != nil {
		return nil, errors.Join(err, cell.leaveCell())
	}
	c := &Command{process: p, cell: cell, ended: make(chan struct{})}
	go c.watch(ctx)
	return c, nil
}

// Wait waits until the command has ended, and nothing of it is left. The error says that
// something is.
func (c *Command) Wait() (Exit, error) {
	<-c.ended
	return c.exit, c.err
}

// WaitRead is Wait, and then waits until what the command has printed is read, which may
// linger no longer than that.
func (c *Command) WaitRead(read <-chan struct{}, linger time.Duration) (Exit, error) {
	exit, err := c.Wait()
	isOver(read, linger)
	return exit, err
}

func (c *Command) watch(ctx context.Context) {
	defer close(c.ended)
	select {
	case <-c.process.Done():
		c.exit = c.process.Exit()
	case <-ctx.Done():
		c.err = c.process.KillGroup()
		c.exit = c.process.soon()
	}
	c.err = errors.Join(c.err, c.cell.leaveCell())
}

// soon is the end of a process that was killed.
func (p *Process) soon() Exit {
	if isOver(p.Done(), endGrace) {
		return p.Exit()
	}
	return Exit{Stuck: true, At: time.Now()}
}

// isOver waits for something that is about to be over, no longer than a while.
func isOver(done <-chan struct{}, within time.Duration) bool {
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}
