package process

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// birth is a start on a thread that is confined already. The call that makes a child in a
// cgroup v2 is forbidden there, as it makes namespaces, too; so the child waits before its
// first instruction until it was moved, and nothing of it is ever elsewhere. Where nobody
// may be traced it does not wait: what it starts before it is moved stays outside.
type birth struct {
	Launch
	attr  *os.ProcAttr
	group *os.File // open to be written to, which a confined thread may not open; nil for none
	rules *os.File // what the thread is confined by; nil for nothing
}

// prepare opens what the thread will not be able to.
func (b *birth) prepare() (err error) {
	if b.rules, err = b.ruleset(); err != nil {
		return err
	}
	if b.Confinement == nil || !Confines().Seccomp || b.Cgroup.Unified == "" {
		return nil
	}
	b.attr.Sys.UseCgroupFD = false
	b.group, err = os.OpenFile(b.Cgroup.Unified+"/cgroup.procs", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the task's cgroup %s: %w", b.Cgroup.Unified, err)
	}
	return nil
}

func (b *birth) close() {
	closeFiles([]*os.File{b.group, b.rules})
}

// start starts the child.
func (b *birth) start() (*os.Process, error) {
	if b.group == nil {
		return b.exec()
	}
	b.attr.Sys.Ptrace = true
	child, err := b.exec()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		b.attr.Sys.Ptrace = false // nobody is traced here: it is moved as soon as it is there
		child, err = b.exec()
	}
	if err != nil {
		return nil, err
	}
	if err := b.move(child.Pid); err != nil {
		_ = child.Kill()
		_, _ = child.Wait()
		return nil, err
	}
	return child, nil
}

func (b *birth) exec() (*os.Process, error) {
	return os.StartProcess(b.Path, append([]string{b.Path}, b.Args...), b.attr)
}

// move moves the child, and lets it go on.
func (b *birth) move(pid int) error {
	if b.attr.Sys.Ptrace {
		// It stops when it has become the program. Its end, which may come first, is left
		// for who waits for it.
		if err := waitForStop(pid); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(b.group, pid)
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("move it into the task's cgroup %s: %w", b.Cgroup.Unified, err)
	}
	if !b.attr.Sys.Ptrace {
		return nil
	}
	if err := unix.PtraceDetach(pid); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("let it go on: %w", err)
	}
	return nil
}

func waitForStop(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT|unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
