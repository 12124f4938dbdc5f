package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// step is a system call that a child makes before it is the program.
type step struct {
	call uintptr
	args [5]uintptr

	// passes are the errors that do not matter; zero for none.
	passes [2]unix.Errno

	// doing begins the error of a step that fails; nil for the program itself, which
	// cannot be executed.
	doing error
}

// execTime is how long the kernel may take to execute a program: it reads no more of it
// than its first page.
const execTime = 10 * time.Second

// failure is what a child writes of the step that failed: which one, and the errno, each
// with four bytes.
type failure [8]byte

// fork makes the child, and gives where it will say that it has failed. It says nothing
// when it has become the program, or has ended. The end that it says it at is nobody
// else's at any time: another child that is held would keep this one from being heard.
func (b *birth) fork() (pid int, said *os.File, err error) {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	defer b.close() // the child has what it needs
	said, own, err := os.Pipe()
	if err != nil {
		return 0, nil, fmt.Errorf("make a pipe to a child: %w", err)
	}
	defer func() { _ = own.Close() }()
	report, err := b.hold(own)
	if err != nil {
		return 0, nil, errors.Join(err, said.Close())
	}
	b.closeOthers()
	pid, err = b.forkQuietly(report)
	if err != nil {
		return 0, nil, errors.Join(fmt.Errorf("make a process: %w", err), said.Close())
	}
	return pid, said, nil
}

// Unshared runs f while no child is made, which would have what f opens until it is the
// program: a port, say, that is to be free again. f must be short.
func Unshared(f func() error) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return f()
}

// forkQuietly forks while no signal reaches this thread: its handlers are those of a
// program of many threads, of which the child has one. ForkLock is held.
func (b *birth) forkQuietly(report uintptr) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all := ^uint64(0)
	setMask(&all, b.mask)
	child, errno := forkThread(&b.origin, b.steps, report)
	setMask(b.mask, nil)
	if errno != 0 {
		return 0, errno
	}
	return int(child), nil
}

// forkThread forks this thread. The child takes the steps, in order; the last of them is
// the program. It is a copy of a program whose other threads are gone, with whatever they
// were about to do half done: it may make system calls, and nothing else. It needs no
// memory, no more stack than there is, and none of what Go does beside.
//
// Go's own way (os.StartProcess) has the child in our memory, and us stand still until the
// kernel has executed the program: for as long as the owner of the file likes, and all of
// us with the next collection of garbage.
//
//go:nosplit
//go:norace
func forkThread(origin *step, steps []step, report uintptr) (pid uintptr, errno unix.Errno) {
	pid, _, errno = unix.RawSyscall6(origin.call, origin.args[0], origin.args[1], origin.args[2], origin.args[3], origin.args[4], 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	for i := range steps {
		s := &steps[i]
		_, _, errno = unix.RawSyscall6(s.call, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], 0)
		if errno != 0 && errno != s.passes[0] && errno != s.passes[1] {
			tell(report, uint32(i), uint32(errno))
			break
		}
	}
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, neverStarted, 0, 0)
	}
}

// neverStarted is the exit status of a child that did not become the program.
const neverStarted = 127

// await waits until the child has become the program, and gives why it has not.
func (b *birth) await(said *os.File) error {
	if err := said.SetReadDeadline(time.Now().Add(execTime)); err != nil {
		return err
	}
	var f failure
	switch _, err := io.ReadFull(said, f[:]); {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the kernel did not execute it within %s, and it was killed: somebody holds the file (a lease, a file system that does not answer), %sor the machine is overloaded", execTime, b.stopped())
	case err != nil:
		return fmt.Errorf("hear of its start: %w", err)
	}
	failed, errno := b.steps[binary.NativeEndian.Uint32(f[:4])], unix.Errno(binary.NativeEndian.Uint32(f[4:]))
	if failed.doing == nil {
		return Hint(errno, b.User)
	}
	return fmt.Errorf("%w: %w", failed.doing, errno)
}

// stopped is what else may hold up a child that is another user's, as a clause.
func (b *birth) stopped() string {
	if !b.User.Switch {
		return ""
	}
	return fmt.Sprintf("or stops the processes of user %s, ", b.User.Name)
}
