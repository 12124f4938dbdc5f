package agents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// endLeftovers kills processes that run in the cluster's directory.
func (c *Cluster) endLeftovers() error {
	var errs []error
	for _, pid := range c.Processes("") {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err := unix.Kill(pid, unix.SIGKILL); err == nil {
			errs = append(errs, fmt.Errorf("process %d was left behind: %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte(" "))))
		}
	}
	return errors.Join(errs...)
}

// Processes are the PIDs of those that work in the node's directory or below,
// and whose executable has that name ("" for any).
func (n *Node) Processes(name string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || (cwd != n.Dir && !strings.HasPrefix(cwd, n.Dir+"/")) {
			continue
		}
		exe, err := os.Readlink(filepath.Join(filepath.Dir(link), "exe"))
		if err != nil || (name != "" && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) != name) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Plugins are the PIDs of the driver's processes.
func (n *Node) Plugins() []int { return n.Processes("nomad-driver-connect") }

// unmountBelow takes away the file systems that Nomad mounts for secrets.
func unmountBelow(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			errs = append(errs, unix.Unmount(fields[1], unix.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// KeepCgroups makes the cgroups that all Nomads of a machine share (with cgroups v1),
// so that no cluster takes them for its own and removes them below another one's
// tasks when it is closed. Whoever keeps them removes them at last.
func KeepCgroups() (remove func(context.Context) error, err error) {
	before := cgroupRoots("")
	remove = func(ctx context.Context) error { return removeCgroups(ctx, cgroupRoots(""), before) }
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return remove, nil
	}
	for _, controller := range []string{"cpu", "cpuset", "freezer", "memory"} {
		if err := os.MkdirAll(filepath.Join("/sys/fs/cgroup", controller, "nomad"), 0o755); err != nil {
			return nil, errors.Join(err, remove(context.Background()))
		}
	}
	return remove, nil
}

// cgroupRoots are where the Nomads of a cluster put their tasks' cgroups: below
// their cgroup_parent with cgroups v2, below "nomad" in every hierarchy of v1.
func cgroupRoots(parent string) []string {
	var v2, others []string
	if parent != "" {
		v2, _ = filepath.Glob("/sys/fs/cgroup/" + parent)
		others, _ = filepath.Glob("/sys/fs/cgroup/" + parent + "-*")
	}
	v1, _ := filepath.Glob("/sys/fs/cgroup/*/nomad")
	return slices.Concat(v2, others, v1)
}

// removeCgroups removes those that were not there before, unless another
// Nomad of this machine uses them by now.
func removeCgroups(ctx context.Context, roots, before []string) error {
	var errs []error
	for _, root := range roots {
		if slices.Contains(before, root) {
			continue
		}
		if err := removeCgroup(ctx, root); err != nil && !errors.Is(err, unix.EBUSY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func removeCgroup(ctx context.Context, root string) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) { // Nomad was quicker
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(ctx, filepath.Join(root, entry.Name())); err != nil {
				return err
			}
		}
	}
	// The kernel needs a moment after the last process of a group has gone.
	return Within(ctx, 5*time.Second, func(context.Context) error {
		err := unix.Rmdir(root)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
