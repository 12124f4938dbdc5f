package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// birth is what becomes of a child between its first instruction and the program: a list
// of system calls, and all that they need, made before there is a child. The child opens
// nothing itself. What it makes of itself it cannot undo: it is in its session, its cgroup
// and its network, then has its files, then gives up what it may not have.
type birth struct {
	Launch
	origin step // makes the child
	steps  []step

	mask   *uint64 // the signals that wait for us, as for the program
	held   []uintptr
	files  []*os.File
	pinned runtime.Pinner
}

// prepare makes the steps of a launch. What is not closed in it when it fails is closed by
// close.
func (l Launch) prepare() (b *birth, err error) {
	b = &birth{Launch: l, mask: new(uint64)}
	b.pinned.Pin(b.mask)
	for _, add := range []func() error{
		b.joinCgroup, b.joinNetwork, b.newSession, b.placeFiles, b.giveUpPrivileges, b.outliveParent, b.becomeUser, b.enterDir, b.confine, b.execute,
	} {
		if err := add(); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (b *birth) close() {
	closeFiles(b.files)
	b.pinned.Unpin()
}

// step adds one.
func (b *birth) step(doing error, call uintptr, args ...uintptr) *step {
	b.steps = append(b.steps, step{call: call, doing: doing})
	s := &b.steps[len(b.steps)-1]
	copy(s.args[:], args)
	return s
}

// hold has the child find a file under a number that none of its own will have.
func (b *birth) hold(f *os.File) (fd uintptr, err error) {
	number, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, max(len(b.Files), 3))
	if err != nil {
		return 0, fmt.Errorf("keep %s for a child: %w", f.Name(), err)
	}
	b.files = append(b.files, os.NewFile(uintptr(number), f.Name()))
	b.held = append(b.held, uintptr(number))
	return uintptr(number), nil
}

// pin gives the address of something that stays where it is until the child is made.
func pin[T any](b *birth, p *T) uintptr {
	b.pinned.Pin(p)
	return uintptr(unsafe.Pointer(p))
}

// closeOthers begins the steps with closing all that the child needs none of: the end of
// somebody else's pipe, say, who waits for it to be closed. It is the first thing that the
// child does, while nobody may stop it. (Since Linux 5.9; where it cannot, the program
// has none of them all the same.)
func (b *birth) closeOthers() {
	var closing []step
	from := uintptr(0)
	slices.Sort(b.held)
	for _, fd := range append(b.held, math.MaxUint32) {
		if fd > from {
			closing = append(closing, step{call: unix.SYS_CLOSE_RANGE, args: [5]uintptr{from, fd - 1}, passes: [2]unix.Errno{unix.ENOSYS, unix.EPERM}, doing: errCloseOthers})
		}
		from = fd + 1
	}
	b.steps = append(closing, b.steps...)
}

// What a step is for, where nothing more is to be said of it.
var (
	errCloseOthers = errors.New("close what is not its own")
	errSession     = errors.New("begin a session")
	errTerminal    = errors.New("take its terminal")
	errFiles       = errors.New("give it its streams")
	errPrivileges  = errors.New("set no_new_privs")
	errOutlive     = errors.New("keep it from ending with us (seccomp)")
	errLowPort     = errors.New("keep the right to ports below 1024")
	errLandlock    = errors.New("confine it to its files (Landlock)")
	errSeccomp     = errors.New("confine it to its system calls (seccomp)")
	errCapability  = errors.New("give up capabilities")
	errSignals     = errors.New("reset its signals")
	errDir         = errors.New("enter its directory")
)

// open opens a file for the child.
func (b *birth) open(path string, flags int) (fd uintptr, err error) {
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return b.hold(f)
}

// newSession makes the child nobody's, and has it get signals as a program does: those that
// we handle as if nobody did.
func (b *birth) newSession() error {
	b.step(errSession, unix.SYS_SETSID)
	for signal := uintptr(1); signal <= 8*signalSet; signal++ {
		if now := actionOf(signal); now.handler != byDefault && now.handler != ignored {
			b.step(errSignals, unix.SYS_RT_SIGACTION, signal, pin(b, &action{}), 0, signalSet)
		}
	}
	return nil
}

// placeFiles gives the child its files under their numbers.
func (b *birth) placeFiles() error {
	for number, f := range b.Files {
		if f == nil {
			b.step(errFiles, unix.SYS_CLOSE, uintptr(number)).passes[0] = unix.EBADF
			continue
		}
		fd, err := b.hold(f)
		if err != nil {
			return err
		}
		b.step(errFiles, unix.SYS_DUP3, fd, uintptr(number), 0)
	}
	if b.Terminal {
		b.step(errTerminal, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	return nil
}

// enterDir enters the directory with the rights of the user. Its path may lead through
// others that only root may search: the descriptor does not.
func (b *birth) enterDir() error {
	fd, err := b.hold(b.Dir)
	if err == nil {
		b.step(fmt.Errorf("%w %s", errDir, b.Dir.Name()), unix.SYS_FCHDIR, fd)
	}
	return err
}

// execute is the last step, with the signals that come to us coming to the program.
func (b *birth) execute() error {
	path, err := unix.BytePtrFromString(b.Path)
	if err != nil {
		return err
	}
	argv, err := b.texts(append([]string{b.Path}, b.Args...))
	if err != nil {
		return fmt.Errorf("its arguments: %w", err)
	}
	env, err := b.texts(b.Env)
	if err != nil {
		return fmt.Errorf("its environment: %w", err)
	}
	b.step(errSignals, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(b.mask)), 0, signalSet)
	b.step(nil, unix.SYS_EXECVE, pin(b, path), argv, env)
	return nil
}

// texts are in memory as the kernel wants them: pointers, the last of them nil.
func (b *birth) texts(all []string) (address uintptr, err error) {
	list := make([]*byte, len(all)+1)
	for i, text := range all {
		if list[i], err = unix.BytePtrFromString(text); err != nil {
			return 0, err
		}
	}
	return pin(b, &list[0]), nil
}
