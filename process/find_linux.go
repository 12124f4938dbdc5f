package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endGrace is how long a killed process may take to be gone.
const endGrace = 5 * time.Second

// WorkingIn finds the processes whose working directory is dir, whether it is
// still there or was removed: among those of the group where there is one, else
// among all of the machine, which costs some 60 µs each. Where processes run as
// users of their own, one of root's is somebody who looks around, and is left out.
func WorkingIn(dir string, user User, group Cgroup) ([]Identity, error) {
	pids, err := candidates(group)
	if err != nil {
		return nil, err
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil { // as the kernel has it
		dir = filepath.Join(parent, filepath.Base(dir))
	}
	var found []Identity
	for _, pid := range pids {
		proc := "/proc/" + strconv.Itoa(pid)
		cwd, err := os.Readlink(proc + "/cwd")
		if err != nil || (cwd != dir && cwd != dir+" (deleted)") {
			continue // gone meanwhile, or none of ours
		}
		if owner, err := os.Stat(proc); err != nil || (user.Switch && OwnerOf(owner) == 0) {
			continue
		}
		id, err := identify(pid)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, nil
}

func candidates(group Cgroup) ([]int, error) {
	if group.tasks() != "" && group.Exists() {
		return group.Processes()
	}
	return Everything()
}

// Everything lists the pids of all processes of the machine.
func Everything() ([]int, error) {
	names, err := readNames("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Readdirnames(-1)
}

func isGone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}

// Args is the command line of a process, with argv[0].
func Args(pid int) ([]string, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00"), nil
}

// LeadsSession tells whether a process has a session of its own, as those have
// that Start has started.
func LeadsSession(id Identity) bool {
	session, err := unix.Getsid(id.PID)
	return err == nil && session == id.PID
}

// End kills a process and waits until it is gone; one that is gone is no error.
func End(ctx context.Context, id Identity) error {
	p, err := Attach(id)
	if err != nil || p == nil {
		return err
	}
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endGrace)
	defer cancel()
	select {
	case <-p.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
