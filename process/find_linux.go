package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// endGrace is how long a killed process may take to be gone.
const endGrace = 5 * time.Second

// WorkingIn finds the processes whose working directory is dir, whether it is
// still there or was removed. Where processes run as users of their own, one of
// root's is somebody who looks around, and is left out.
func WorkingIn(dir string, user User) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || (cwd != dir && cwd != dir+" (deleted)") {
			continue // gone meanwhile, or none of ours
		}
		if owner, err := os.Stat(filepath.Dir(link)); err != nil || (user.Switch && ownerOf(owner) == 0) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func ownerOf(info os.FileInfo) uint32 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Uid
	}
	return 0
}

// End kills a process and waits until it is gone; one that is gone is no error.
func End(ctx context.Context, pid int) error {
	id, err := identify(pid)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
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
