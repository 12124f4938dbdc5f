package driver

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
)

const (
	cgroupRoot = "/sys/fs/cgroup"

	// noMemoryLimit is memory_max = -1 in a job.
	noMemoryLimit = -1
)

// taskCgroup is where Nomad wants the task to run, and within which limits. It
// makes the cgroup before the task starts, and removes it; the limits are left
// to drivers.
func taskCgroup(task *drivers.TaskConfig) process.Cgroup {
	r := task.Resources
	if r == nil {
		return process.Cgroup{}
	}
	var c process.Cgroup
	if r.LinuxResources != nil {
		c = cgroupAt(r.LinuxResources.CpusetCgroupPath, task.AllocID+"."+task.Name)
		c.Limits = process.Limits{CPUShares: r.LinuxResources.CPUShares, Cores: r.LinuxResources.CpusetCpus}
	}
	c.Limits.Memory, c.Limits.MemoryReserved = memoryLimits(r)
	return c
}

// cgroupAt takes the one path that Nomad tells: with cgroups v2 that of the
// task's own directory, with v1 that of its cores, from which those of the other
// controllers follow:
//
//	/sys/fs/cgroup/nomad.slice/share.slice/<scope>.scope
//	/sys/fs/cgroup/cpuset/nomad/share            (all tasks)
//	/sys/fs/cgroup/cpuset/nomad/reserve/<scope>
func cgroupAt(path, scope string) process.Cgroup {
	cores, v1 := strings.CutPrefix(path, cgroupRoot+"/cpuset/")
	if !v1 {
		return process.Cgroup{Unified: path}
	}
	parent := strings.TrimSuffix(strings.TrimSuffix(cores, "/share"), "/reserve/"+scope)
	return process.Cgroup{
		Freezer: filepath.Join(cgroupRoot, "freezer", parent, scope),
		CPU:     filepath.Join(cgroupRoot, "cpu", parent, scope),
		Memory:  filepath.Join(cgroupRoot, "memory", parent, scope),
		CPUSet:  path,
	}
}

// memoryLimits are the bound and what is kept for the task within it, in bytes:
// resources { memory } alone is the bound; beside memory_max it is what is kept.
func memoryLimits(r *drivers.Resources) (limit, reserved int64) {
	if r.NomadResources == nil {
		return 0, 0
	}
	memory := r.NomadResources.Memory
	switch {
	case memory.MemoryMaxMB == noMemoryLimit:
		return 0, memory.MemoryMB << 20
	case memory.MemoryMaxMB > 0:
		return memory.MemoryMaxMB << 20, memory.MemoryMB << 20
	}
	return memory.MemoryMB << 20, 0
}

// defaultWorkers is one of Envoy's worker threads for every core that the task
// has, or has the worth of in MHz: at least one, at most what there are.
func defaultWorkers(task *drivers.TaskConfig, machine cpustats.Compute) int {
	if task.Resources == nil || task.Resources.LinuxResources == nil {
		return 1
	}
	linux := task.Resources.LinuxResources
	if linux.CpusetCpus != "" {
		return countCores(linux.CpusetCpus)
	}
	if machine.NumCores < 1 || machine.TotalCompute < 1 {
		return 1
	}
	cores := int(uint64(max(linux.CPUShares, 0)) * uint64(machine.NumCores) / uint64(machine.TotalCompute))
	return min(max(cores, 1), machine.NumCores)
}

// countCores counts those of a list like "0,3" or "0-2,7".
func countCores(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.Atoi(first)
		to, lastErr := strconv.Atoi(last)
		switch {
		case err != nil:
		case !isRange:
			n++
		case lastErr == nil && to >= from:
			n += to - from + 1
		}
	}
	return max(n, 1)
}
