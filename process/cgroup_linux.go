package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group that somebody else has made and will remove, and
// what may be used in it. The zero value stands for none, and so do paths at
// which there is nothing.
type Cgroup struct {
	// Unified is its directory with cgroups v2.
	Unified string

	// With cgroups v1 every controller has a tree of its own.
	Freezer, CPU, Memory, CPUSet string

	Limits Limits
}

// Limits are what the processes of a cgroup may use together. Zero leaves
// something as it is.
type Limits struct {
	Memory         int64  // bytes; who needs more is killed
	MemoryReserved int64  // bytes that are taken from others first
	CPUShares      int64  // weight under contention: 1024 is what everybody has
	Cores          string // "0-2,7"
}

// Exists says whether there is such a group.
func (c Cgroup) Exists() bool {
	for _, dir := range c.dirs() {
		if _, err := os.Stat(dir); err == nil {
			return true
		}
	}
	return false
}

func (c Cgroup) dirs() []string {
	var dirs []string
	for _, dir := range []string{c.Unified, c.Freezer, c.CPU, c.Memory, c.CPUSet} {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// tasks is the directory that only this group's processes are in. (The cores
// of v1 may be shared with others.)
func (c Cgroup) tasks() string {
	if c.Unified != "" {
		return c.Unified
	}
	return c.Freezer
}

// memory is the directory with the files about memory.
func (c Cgroup) memory() string {
	if c.Unified != "" {
		return c.Unified
	}
	return c.Memory
}

// Processes are those in the group and in the cells within it, but for this one.
func (c Cgroup) Processes() ([]int, error) {
	if c.tasks() == "" {
		return nil, nil
	}
	pids, err := c.members()
	for _, cell := range c.cells() {
		more, cellErr := cell.members()
		pids, err = append(pids, more...), errors.Join(err, cellErr)
	}
	return pids, err
}

func (c Cgroup) members() ([]int, error) {
	text, err := os.ReadFile(filepath.Join(c.tasks(), "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the processes of a cgroup: %w", err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("list the processes of a cgroup: %w", err)
		}
		if pid != os.Getpid() && pid != 0 { // 0: of another pid namespace
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Kill kills all that is in the group, and waits until it is gone. Cells that nobody has
// left, as when the plugin was killed, are removed.
func (c Cgroup) Kill() error {
	if err := c.killMembers(); err != nil {
		return err
	}
	var errs []error
	for _, cell := range c.cells() {
		errs = append(errs, removeGroup(cell.tasks()))
	}
	return errors.Join(errs...)
}

func (c Cgroup) killMembers() error {
	if c.Unified != "" {
		// One write, and no process can fork its way out. (Since Linux 5.14.)
		err := writeControl(c.Unified, "cgroup.kill", "1")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("kill a cgroup: %w", err)
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(endGrace); ; <-tick.C {
		pids, err := c.Processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill a cgroup: the processes %v do not end", pids)
		}
		for _, pid := range pids {
			if err := c.killOne(pid); err != nil {
				return fmt.Errorf("kill process %d of a cgroup: %w", pid, err)
			}
		}
	}
}

// killOne kills a process that is still in the group, not a successor of its pid.
func (c Cgroup) killOne(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer func() { _ = unix.Close(fd) }()
	pids, err := c.Processes() // only now that the descriptor pins the process
	for _, still := range pids {
		if still == pid {
			return ignoreGone(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
		}
	}
	return err
}

func ignoreGone(err error) error {
	// ENOENT and EINVAL (before Linux 6.9): the number is a thread's by now.
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// writeControl writes to a file of the kernel's; it makes none.
func writeControl(dir, name, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
