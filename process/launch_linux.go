package process

import (
	"errors"
	"fmt"
	"os"

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
	if err := setLimits(); err != nil {
		return nil, err
	}
	if err := l.Cgroup.limit(); err != nil {
		return nil, err
	}
	p, err := l.start()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.Path, err)
	}
	return p, nil
}

func (l Launch) start() (*Process, error) {
	b, err := l.prepare()
	if err != nil {
		b.close()
		return nil, err
	}
	pid, said, err := b.fork()
	if err != nil {
		return nil, err
	}
	defer func() { _ = said.Close() }()
	p, err := adopt(pid)
	if err != nil {
		return nil, err
	}
	if err := b.await(said); err != nil {
		return nil, errors.Join(err, p.KillGroup())
	}
	return p, nil
}

// adopt takes hold of a child that was just made.
func adopt(pid int) (p *Process, err error) {
	p = &Process{ours: true, done: make(chan struct{})}
	if p.ID, err = identify(pid); err == nil {
		p.pidfd, err = openPIDFD(pid)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch process %d: %w", pid, err), endChild(pid))
	}
	if err := beKillable(pid); err != nil {
		return nil, errors.Join(fmt.Errorf("have process %d be killable: %w", pid, err), endChild(pid), p.pidfd.Close())
	}
	go p.watch()
	return p, nil
}

// endChild ends one that nobody watches.
func endChild(pid int) error {
	err := unix.Kill(pid, unix.SIGKILL)
	go func() { _, _ = waitFor(pid) }() // it may be held where no signal reaches it
	return err
}

// Hint adds to the error of a start what to do about it.
func Hint(err error, user User) error {
	if errors.Is(err, unix.EACCES) && user.Switch {
		return fmt.Errorf("user %s may not execute it: %w; make the file executable and every directory above it searchable for all users", user.Name, err)
	}
	return err
}
