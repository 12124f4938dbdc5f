package process

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// enter has the kernel put a child into the group as it makes it (v2). What is
// held for that is given back by release when the child was started.
func (c Cgroup) enter(attr *syscall.SysProcAttr) (release func(), err error) {
	release = func() {}
	if c.Unified == "" {
		return release, nil
	}
	fd, err := unix.Open(c.Unified, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return release, nil
	}
	if err != nil {
		return release, fmt.Errorf("open the task's cgroup %s: %w", c.Unified, err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return func() { _ = unix.Close(fd) }, nil
}

// joinThread puts the calling thread into the group (v1), so that what it forks
// is born there. The thread must be one that ends soon and is not the main one:
// this process' memory is accounted where its main thread is.
func (c Cgroup) joinThread() error {
	tid := strconv.Itoa(unix.Gettid())
	for _, dir := range []string{c.Freezer, c.CPU, c.Memory, c.CPUSet} {
		if dir == "" {
			continue
		}
		if err := writeControl(dir, "tasks", tid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("join the task's cgroup %s: %w", dir, err)
		}
	}
	return nil
}
