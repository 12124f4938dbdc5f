package process

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Launch says what to execute, where and as whom.
type Launch struct {
	Path  string
	Args  []string   // without argv[0]
	Env   []string   // "NAME=value"; never ours, which has what is nobody else's
	Dir   *os.File   // working directory
	Files []*os.File // stdin, stdout, stderr, then descriptor 3, 4 …
	User  User

	// Cgroup is where it runs, and within which limits.
	Cgroup Cgroup

	Network Network

	// Terminal says that descriptor 0 is a terminal, which it controls.
	Terminal bool

	// LowPorts lets it listen on ports below 1024, whoever it runs as.
	LowPorts bool

	// Confinement is nil for a process that may do what its user may.
	Confinement *Confinement
}

// Start starts a child in a session of its own, as the user, without
// the means to gain privileges; it outlives us, whatever it asks for.
func Start(l Launch) (*Process, error) {
	attr := &os.ProcAttr{
		// The path of the directory may lead through ones that only root may
		// search; the descriptor does not. (The child changes directory after
		// it changed user.)
		Dir:   fmt.Sprintf("/proc/self/fd/%d", l.Dir.Fd()),
		Env:   append([]string{}, l.Env...), // nil would stand for ours
		Files: l.Files,
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: l.Terminal},
	}
	if l.User.Switch {
		attr.Sys.Credential = &syscall.Credential{Uid: l.User.UID, Gid: l.User.GID}
	}
	l.keepLowPorts(attr.Sys)
	if err := setLimits(); err != nil {
		return nil, err
	}
	if err := l.Cgroup.limit(); err != nil {
		return nil, err
	}
	release, err := l.Cgroup.enter(attr.Sys)
	if err != nil {
		return nil, err
	}
	defer release()
	child, err := forkWithoutPrivileges(l, attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Path, Hint(err, l.User))
	}
	p := &Process{child: child, done: make(chan struct{})}
	if err := p.adopt(); err != nil {
		_ = child.Kill()
		_, _ = child.Wait()
		return nil, err
	}
	go p.watch()
	return p, nil
}

// adopt takes hold of a child that has just been started.
func (p *Process) adopt() (err error) {
	pid := p.child.Pid
	if p.ID, err = identify(pid); err == nil {
		p.pidfd, err = openPIDFD(pid)
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	if err := beKillable(pid); err != nil {
		return errors.Join(fmt.Errorf("have process %d be killable: %w", pid, err), p.pidfd.Close())
	}
	return nil
}

// forkWithoutPrivileges starts the process from a thread that has given up
// gaining privileges, ending with its parent, and what the process is not to do, and
// has joined the cgroup and the network namespace; the child inherits all of it.
func forkWithoutPrivileges(l Launch, attr *os.ProcAttr) (child *os.Process, err error) {
	learnKernel()
	b := birth{Launch: l, attr: attr}
	defer b.close()
	if err := b.prepare(); err != nil {
		return nil, err
	}
	err = onOwnThread(func() (err error) {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		for _, step := range []func() error{outliveParent, l.Cgroup.joinThread, l.Network.join, l.boundCapabilities, func() error { return l.confine(b.rules) }} {
			if err := step(); err != nil {
				return err
			}
		}
		child, err = b.start()
		return err
	})
	return child, err
}

// learnKernel has Go learn of the kernel what it would else learn at the first start: a
// confined thread would find less.
var learnKernel = sync.OnceFunc(func() {
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Release()
	}
})

// Hint adds to the error of a start what to do about it.
func Hint(err error, user User) error {
	if errors.Is(err, unix.EACCES) && user.Switch {
		return fmt.Errorf("user %s may not execute it: %w; make the file executable and every directory above it searchable for all users", user.Name, err)
	}
	return err
}
