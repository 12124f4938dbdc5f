package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// beKillable takes back that the kernel spares the process when memory is
// short: agents are often run so, and children inherit it. A process that is
// spared would stand still at its limit instead.
func beKillable(pid int) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil // it is not spared (to spare is root's privilege), or gone
	}
	return err
}

// OOMKills counts the processes of the group that the kernel has killed because
// the group was at its memory limit, or the machine out of memory.
func (c Cgroup) OOMKills() uint64 {
	name := "memory.oom_control"
	if c.Unified != "" {
		name = "memory.events"
	}
	counts, err := readCounts(filepath.Join(c.memory(), name))
	if err != nil {
		return 0 // there is no such group, or nothing is counted in it
	}
	return counts["oom_kill"]
}

// Explain adds to an exit of one of the group's processes that it was for want
// of memory, when the kernel has killed there since it had killed so many.
func (c Cgroup) Explain(e Exit, before uint64) Exit {
	if (e.Unobserved || e.Signal == syscall.SIGKILL) && c.OOMKills() > before {
		e.OOMKilled, e.MemoryLimit = true, c.Limits.Memory
	}
	return e
}

// outOfMemory is the sentence of an OOMKilled exit.
func (e Exit) outOfMemory() string {
	bound := ""
	if e.MemoryLimit > 0 {
		bound = fmt.Sprintf(" (limit %d MB)", e.MemoryLimit>>20)
	}
	if e.Unobserved {
		return "exited while unobserved, and the kernel had killed for it: out of memory" + bound
	}
	return "was killed by the kernel: out of memory" + bound
}
