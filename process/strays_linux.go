package process

import (
	"bytes"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Strays names what runs in the group, and is of none of the process groups: it has left
// them to live longer. Commands, which have a cell each, are not among it.
func (c Cgroup) Strays(groups []int) []string {
	if c.tasks() == "" {
		return nil
	}
	pids, _ := c.members() // or there is no such group
	var strays []string
	for _, pid := range pids {
		group, err := unix.Getpgid(pid)
		if err != nil || slices.Contains(groups, group) {
			continue // gone, or about to be
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil {
			strays = append(strays, fmt.Sprintf("%q (pid %d)", bytes.TrimSpace(name), pid))
		}
	}
	return strays
}
