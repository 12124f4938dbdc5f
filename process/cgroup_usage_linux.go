package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what all processes of the group use together, and those before them
// did. The error is fs.ErrNotExist where there is no such group.
func (c Cgroup) Usage() (Usage, error) {
	switch {
	case c.Unified != "":
		return c.usageV2()
	case c.Memory != "":
		return c.usageV1()
	}
	return Usage{}, fs.ErrNotExist
}

func (c Cgroup) usageV2() (Usage, error) {
	r := reader{dir: c.Unified}
	cpu, memory := r.counts("cpu.stat"), r.counts("memory.stat")
	u := Usage{
		User:   time.Duration(cpu["user_usec"]) * time.Microsecond,
		System: time.Duration(cpu["system_usec"]) * time.Microsecond,
		RSS:    memory["anon"],
		Group: &GroupUsage{
			ThrottledPeriods: cpu["nr_throttled"],
			Throttled:        time.Duration(cpu["throttled_usec"]) * time.Microsecond,
			Memory:           r.count("memory.current"),
			Cache:            memory["file"],
			Kernel:           memory["kernel"],          // since Linux 5.18
			MaxMemory:        r.optional("memory.peak"), // since Linux 5.19
			Swap:             r.optional("memory.swap.current"),
		},
	}
	return u, r.err
}

func (c Cgroup) usageV1() (Usage, error) {
	r := reader{dir: c.Memory}
	memory := r.counts("memory.stat")
	u := Usage{
		RSS: memory["total_rss"],
		Group: &GroupUsage{
			Memory:    r.count("memory.usage_in_bytes"),
			MaxMemory: r.count("memory.max_usage_in_bytes"),
			Cache:     memory["total_cache"],
			Swap:      memory["total_swap"],
			Kernel:    r.optional("memory.kmem.usage_in_bytes"),
		},
	}
	if r.err != nil {
		return u, r.err
	}
	return u, c.addTimesV1(&u)
}

// addTimesV1 reads the CPU's side. Its account usually shares a tree with its
// controller; where it does not, nobody has made a group in it, and the
// processes are added up.
func (c Cgroup) addTimesV1(u *Usage) error {
	r := reader{dir: c.CPU}
	cpu := r.counts("cpu.stat")
	u.Group.ThrottledPeriods, u.Group.Throttled = cpu["nr_throttled"], time.Duration(cpu["throttled_time"])
	if r.err != nil {
		return r.err
	}
	times := r.counts("cpuacct.stat")
	if r.err == nil {
		u.User, u.System = time.Duration(times["user"])*clockTick, time.Duration(times["system"])*clockTick
		return nil
	}
	if !errors.Is(r.err, fs.ErrNotExist) {
		return r.err
	}
	pids, err := c.Processes()
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil { // else it has ended
			u.User += st.usage().User
			u.System += st.usage().System
		}
	}
	return err
}

// reader reads files of one directory, and keeps the first error.
type reader struct {
	dir string
	err error
}

func (r *reader) counts(name string) map[string]uint64 {
	counts, err := readCounts(filepath.Join(r.dir, name))
	if r.err == nil {
		r.err = err
	}
	return counts
}

func (r *reader) count(name string) uint64 {
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	var n uint64
	if err == nil {
		n, err = strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	}
	if r.err == nil {
		r.err = err
	}
	return n
}

// optional is a count that not every kernel has.
func (r *reader) optional(name string) uint64 {
	try := reader{dir: r.dir}
	return try.count(name)
}

// readCounts reads a file of lines "name number". Other lines say nothing here.
func readCounts(path string) (map[string]uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	counts := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, fmt.Errorf("read %s: %q is no name with a number", path, line)
		}
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			counts[name] = n
		}
	}
	return counts, nil
}
