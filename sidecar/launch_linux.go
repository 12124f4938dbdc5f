package sidecar

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// startEnvoy starts Envoy as the specification has it.
func startEnvoy(spec Spec, config *os.File) (*Process, error) {
	files := []*os.File{nil, nil, nil, config}
	var err error
	open := func(f *os.File, openErr error) *os.File {
		err = errors.Join(err, openErr)
		return f
	}
	files[0] = open(os.Open(os.DevNull))
	files[1] = open(openLog(spec.Run.Root, spec.Run.Stdout))
	files[2] = open(openLog(spec.Run.Root, spec.Run.Stderr))
	dir := open(os.Open(spec.Run.Dir))
	defer func() {
		for _, f := range []*os.File{files[0], files[1], files[2], dir} {
			_ = closeFile(f)
		}
	}()
	if err != nil {
		return nil, err
	}
	return startProcess(launch{
		path:  spec.Envoy.Path,
		args:  envoyArgs(spec.Envoy),
		env:   spec.Run.Env,
		dir:   dir,
		files: files,
		user:  spec.Run.User,
	})
}

// launch says what to execute, where and as whom.
type launch struct {
	path  string
	args  []string // without argv[0]
	env   []string
	dir   *os.File   // working directory
	files []*os.File // stdin, stdout, stderr, then descriptor 3, 4 …
	user  User
}

// startProcess starts a child in a session of its own, as the user, without
// the means to gain privileges.
func startProcess(l launch) (*Process, error) {
	fd := -1
	attr := &os.ProcAttr{
		// The path of the directory may lead through ones that only root may
		// search; the descriptor does not. (The child changes directory after
		// it changed user.)
		Dir:   fmt.Sprintf("/proc/self/fd/%d", l.dir.Fd()),
		Env:   l.env,
		Files: l.files,
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &fd},
	}
	if l.user.Switch {
		attr.Sys.Credential = &syscall.Credential{Uid: l.user.UID, Gid: l.user.GID}
	}
	child, err := forkWithoutPrivileges(l.path, append([]string{l.path}, l.args...), attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", l.path, startHint(err, l))
	}
	p := &Process{child: child, done: make(chan struct{})}
	if p.ID, err = identify(child.Pid); err == nil {
		p.pidfd, err = openPIDFD(child.Pid)
	}
	if fd >= 0 {
		_ = unix.Close(fd)
	}
	if err != nil {
		_ = child.Kill()
		_, _ = child.Wait()
		return nil, fmt.Errorf("watch process %d: %w", child.Pid, err)
	}
	go p.watch()
	return p, nil
}

// forkWithoutPrivileges starts the process from a thread that has given up
// gaining privileges by execve; the child inherits that. The thread ends with
// its goroutine, as it is never unlocked.
func forkWithoutPrivileges(path string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	type result struct {
		child *os.Process
		err   error
	}
	started := make(chan result)
	go func() {
		runtime.LockOSThread()
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			started <- result{err: fmt.Errorf("set no_new_privs: %w", err)}
			return
		}
		child, err := os.StartProcess(path, argv, attr)
		started <- result{child, err}
	}()
	r := <-started
	return r.child, r.err
}

func startHint(err error, l launch) error {
	if errors.Is(err, unix.EACCES) && l.user.Switch {
		return fmt.Errorf("user %s may not execute it: %w; make the file executable and every directory above it searchable for all users", l.user.Name, err)
	}
	return err
}
