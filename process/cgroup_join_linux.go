package process

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// joinCgroup has the child be made in the group (v2), or enter it before all else (v1:
// each controller has a tree of its own). Where there is no such group it is elsewhere.
func (b *birth) joinCgroup() error {
	b.origin = step{call: unix.SYS_CLONE, args: [5]uintptr{uintptr(unix.SIGCHLD)}}
	if b.Cgroup.Unified != "" {
		return b.madeInCgroup()
	}
	for _, dir := range []string{b.Cgroup.Freezer, b.Cgroup.CPU, b.Cgroup.Memory, b.Cgroup.CPUSet} {
		if dir == "" {
			continue
		}
		// The list of threads: to enter the one of processes, the kernel has all
		// processes of the machine wait.
		fd, err := b.open(filepath.Join(dir, "tasks"), unix.O_WRONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("join the task's cgroup %s: %w", dir, err)
		}
		b.step(fmt.Errorf("join the task's cgroup %s", dir), unix.SYS_WRITE, fd, pin(b, &[]byte("0")[0]), 1).passes[0] = unix.ENODEV // it was removed meanwhile
	}
	return nil
}

// madeInCgroup has the kernel make the child there.
func (b *birth) madeInCgroup() error {
	fd, err := b.open(b.Cgroup.Unified, unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("join the task's cgroup %s: %w", b.Cgroup.Unified, err)
	}
	args := &cloneArgs{flags: unix.CLONE_INTO_CGROUP, exitSignal: uint64(unix.SIGCHLD), cgroup: uint64(fd)}
	b.origin = step{call: unix.SYS_CLONE3, args: [5]uintptr{pin(b, args), unsafe.Sizeof(*args)}}
	return nil
}

// cloneArgs is struct clone_args of linux/sched.h.
type cloneArgs struct {
	flags      uint64
	_          [3]uint64 // pidfd, child_tid, parent_tid
	exitSignal uint64
	_          [5]uint64 // stack, stack_size, tls, set_tid, set_tid_size
	cgroup     uint64
}
