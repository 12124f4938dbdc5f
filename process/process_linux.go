package process

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one that we started, or one that an earlier life of this program
// started and this one found again. It is a plain child in a session of its own,
// and outlives us.
type Process struct {
	ID    Identity
	ours  bool // false: somebody else is the parent
	pidfd *os.File
	done  chan struct{}
	exit  atomic.Pointer[Exit]
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // exit status; 128 + Signal when it was killed
	Signal syscall.Signal // 0 when it exited by itself
	At     time.Time

	// Unobserved: it ended while nobody watched, and the kernel no longer
	// tells how.
	Unobserved bool

	// Stuck: it was killed and does not end, as when it waits for a disk that
	// is dead. It may still have its ports.
	Stuck bool

	// OOMKilled: the kernel ended it for want of memory (see Cgroup.Explain).
	OOMKilled   bool
	MemoryLimit int64 // bytes; 0 when it had none
}

func (e Exit) String() string {
	switch {
	case e.Stuck:
		return "was killed and does not end; what holds it is in /proc/<pid>/stack, and its ports may still be taken"
	case e.OOMKilled:
		return e.outOfMemory()
	case e.Unobserved:
		return "exited while unobserved"
	case e.Signal != 0:
		return fmt.Sprintf("was killed by signal %d (%s)", int(e.Signal), unix.SignalName(e.Signal))
	}
	return fmt.Sprintf("exited with status %d", e.Code)
}

// Attach finds a process again by its identity. It gives nil and no
// error when that process is gone, whoever has its pid now.
func Attach(id Identity) (*Process, error) {
	pidfd, err := openPIDFD(id.PID)
	// ENOENT and EINVAL (before Linux 6.9): the number is a thread's by now.
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", id.PID, err)
	}
	// Only now that the descriptor pins the process can its identity be checked.
	now, err := identify(id.PID)
	switch {
	case isGone(err), err == nil && now != id:
		return nil, pidfd.Close()
	case err != nil:
		return nil, errors.Join(fmt.Errorf("look at process %d: %w", id.PID, err), pidfd.Close())
	}
	p := &Process{ID: id, pidfd: pidfd, done: make(chan struct{})}
	go p.watch()
	return p, nil
}

// Done is closed when the process has ended and its Exit is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is meaningful once Done is closed.
func (p *Process) Exit() Exit {
	if e := p.exit.Load(); e != nil {
		return *e
	}
	return Exit{}
}

// Signal sends to the process itself, never to a successor of its pid.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
	}
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		err = unix.PidfdSendSignal(int(fd), sig, nil, 0)
	})
	if ctlErr != nil {
		return os.ErrProcessDone
	}
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// killRest ends what a process that has ended, but was not reaped yet, left in
// its group; until then the group's number is nobody else's.
func killRest(pid int) { _ = unix.Kill(-pid, unix.SIGKILL) }

// KillGroup kills the process and all that it started.
func (p *Process) KillGroup() error {
	// First the process, by its descriptor; where it has gone, so has the right
	// to its group's number.
	if err := p.Signal(unix.SIGKILL); errors.Is(err, os.ErrProcessDone) {
		return nil
	} else if err != nil {
		return err
	}
	if err := unix.Kill(-p.ID.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// watch waits for the end without holding a thread.
func (p *Process) watch() {
	defer close(p.done)
	defer func() { _ = p.pidfd.Close() }()
	if raw, err := p.pidfd.SyscallConn(); err == nil {
		_ = raw.Read(func(fd uintptr) bool { return pidfdEnded(int(fd)) })
	}
	exit := p.reap()
	exit.At = time.Now()
	p.exit.Store(&exit)
}

func (p *Process) reap() Exit {
	if !p.ours {
		return strangersExit(p.ID, p.pidfd)
	}
	killRest(p.ID.PID)
	status, err := waitFor(p.ID.PID)
	if err != nil {
		return Exit{Unobserved: true}
	}
	return ExitOf(status)
}

// waitFor waits until a child has ended, and takes its exit.
func waitFor(pid int) (status syscall.WaitStatus, err error) {
	for {
		_, err = syscall.Wait4(pid, &status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// ExitOf reads a wait status.
func ExitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	return Exit{Code: status.ExitStatus()}
}

// Gone stands for one that ended while nobody watched.
func Gone(id Identity) *Process {
	p := &Process{ID: id, done: make(chan struct{})}
	p.exit.Store(&Exit{Unobserved: true, At: time.Now()})
	close(p.done)
	return p
}
