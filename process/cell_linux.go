package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cellPrefix begins the name of a group for one command within the group of a task.
const cellPrefix = "command-"

// cell makes a group within this one for a command and all that it starts: none of them
// finds a way out, by a session of its own neither. What they use is accounted to this
// group, and bounded by it. Where there is no group, or none can be made by an agent
// without root's rights, the command has this one.
func (c Cgroup) cell() (Cgroup, error) {
	c.Limits = Limits{} // those of the group around it hold
	parent := c.tasks()
	if parent == "" {
		return c, nil
	}
	dir, err := os.MkdirTemp(parent, cellPrefix)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return c, nil
	case err != nil:
		return c, fmt.Errorf("make a cgroup for a command within that of its task: %w", err)
	case c.Unified != "":
		c.Unified = dir
	default:
		c.Freezer = dir
	}
	return c, nil
}

// isCell tells a group that was made for a command from one of a task.
func (c Cgroup) isCell() bool { return strings.HasPrefix(filepath.Base(c.tasks()), cellPrefix) }

// leaveCell ends what a command has left in its cell, and removes that. A cell that cannot
// be removed is empty, and says nothing of the command: it goes with the task's group.
func (c Cgroup) leaveCell() error {
	if !c.isCell() {
		return nil
	}
	if err := c.Kill(); err != nil {
		return fmt.Errorf("end what a command has left behind: %w", err)
	}
	_ = removeGroup(c.tasks())
	return nil
}

// removeGroup removes an empty group. The kernel may still be busy with the last that
// was in it.
func removeGroup(dir string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(endGrace); ; <-tick.C {
		err := unix.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}

// cells are those that there are within this group.
func (c Cgroup) cells() []Cgroup {
	dirs, _ := filepath.Glob(filepath.Join(c.tasks(), cellPrefix+"*")) // the pattern is good
	cells := make([]Cgroup, 0, len(dirs))
	for _, dir := range dirs {
		if c.Unified != "" {
			cells = append(cells, Cgroup{Unified: dir})
		} else {
			cells = append(cells, Cgroup{Freezer: dir})
		}
	}
	return cells
}
