package process

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
)

// control is a value for a file of the kernel's.
type control struct {
	dir, name, value string
	advisory         bool // not every kernel takes it, and nothing depends on it
}

// limit tells the kernel what the group may use. A controller that the machine
// does not have is passed over, as the group then is no bound for it.
func (c Cgroup) limit() error {
	for _, set := range c.controls() {
		err := writeControl(set.dir, set.name, set.value)
		if err == nil || set.advisory || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return fmt.Errorf("limit the task's resources to %s: %w", set.value, err)
	}
	return nil
}

func (c Cgroup) controls() []control {
	names := v1Names
	cpu, cores := c.CPU, c.CPUSet
	if c.Unified != "" {
		names = v2Names
		cpu, cores = c.Unified, c.Unified
	}
	var all []control
	add := func(dir, name, value string, advisory bool) {
		if dir != "" && name != "" {
			all = append(all, control{dir, name, value, advisory})
		}
	}
	if l := c.Limits; l.Memory > 0 {
		add(c.memory(), names.memory, strconv.FormatInt(l.Memory, 10), false)
		// What is written to disk instead is slow, and hides that there is too little.
		add(c.memory(), names.swappiness, "0", true)
	}
	if l := c.Limits; l.MemoryReserved > 0 {
		add(c.memory(), names.reserved, strconv.FormatInt(l.MemoryReserved, 10), true)
	}
	if l := c.Limits; l.CPUShares > 0 {
		add(cpu, names.cpu, strconv.FormatInt(names.weigh(l.CPUShares), 10), false)
	}
	if l := c.Limits; l.Cores != "" {
		add(cores, "cpuset.cpus", l.Cores, false)
	}
	return all
}

// names are those of a version's files.
type names struct {
	memory, reserved, swappiness, cpu string
	weigh                             func(shares int64) int64
}

var v1Names = names{
	memory: "memory.limit_in_bytes", reserved: "memory.soft_limit_in_bytes", swappiness: "memory.swappiness",
	cpu: "cpu.shares", weigh: clampShares,
}

var v2Names = names{
	memory: "memory.max", reserved: "memory.low",
	cpu: "cpu.weight", weigh: weightOf,
}

// The bounds of the kernel.
const minShares, maxShares = 2, 1 << 18

func clampShares(shares int64) int64 { return min(max(shares, minShares), maxShares) }

// weightOf makes a weight of v2 (1 to 10000, usually 100) of shares of v1 (2 to
// 262144, usually 1024), by the curve that container runtimes have agreed on: a
// parabola of the logarithms through the bounds and what is usual. The other
// tasks of the machine are weighed by it, too.
func weightOf(shares int64) int64 {
	switch shares = clampShares(shares); shares {
	case minShares:
		return 1
	case maxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	return int64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}
