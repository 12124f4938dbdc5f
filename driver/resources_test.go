package driver

import (
	"testing"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// withResources is a task as Nomad's agent describes it.
func withResources(cgroup, cores string, mhz, memory, memoryMax int64) *drivers.TaskConfig {
	task := taskOnHost()
	task.Resources.NomadResources = &structs.AllocatedTaskResources{Memory: structs.AllocatedMemoryResources{MemoryMB: memory, MemoryMaxMB: memoryMax}}
	task.Resources.LinuxResources = &drivers.LinuxResources{CPUShares: mhz, CpusetCpus: cores, CpusetCgroupPath: cgroup}
	return task
}

func TestTaskCgroup(t *testing.T) {
	const unified = "/sys/fs/cgroup/nomad.slice/share.slice/a1.proxy.scope"
	v1 := process.Cgroup{Freezer: "/sys/fs/cgroup/freezer/nomad/a1.proxy", CPU: "/sys/fs/cgroup/cpu/nomad/a1.proxy", Memory: "/sys/fs/cgroup/memory/nomad/a1.proxy"}
	for _, tc := range []struct {
		name string
		task *drivers.TaskConfig
		want func(*process.Cgroup)
	}{
		{"v2", withResources(unified, "", 500, 64, 0), func(c *process.Cgroup) {
			c.Unified, c.Limits = unified, process.Limits{CPUShares: 500, Memory: 64 << 20}
		}},
		{"v2, oversubscribed", withResources(unified, "", 500, 64, 256), func(c *process.Cgroup) {
			c.Unified, c.Limits = unified, process.Limits{CPUShares: 500, Memory: 256 << 20, MemoryReserved: 64 << 20}
		}},
		{"v2, without a limit", withResources(unified, "", 500, 64, -1), func(c *process.Cgroup) {
			c.Unified, c.Limits = unified, process.Limits{CPUShares: 500, MemoryReserved: 64 << 20}
		}},
		{"v1", withResources("/sys/fs/cgroup/cpuset/nomad/share", "", 500, 64, 0), func(c *process.Cgroup) {
			*c = v1
			c.CPUSet, c.Limits = "/sys/fs/cgroup/cpuset/nomad/share", process.Limits{CPUShares: 500, Memory: 64 << 20}
		}},
		{"v1 with cores", withResources("/sys/fs/cgroup/cpuset/nomad/reserve/a1.proxy", "0,3", 5000, 64, 0), func(c *process.Cgroup) {
			*c = v1
			c.CPUSet, c.Limits = "/sys/fs/cgroup/cpuset/nomad/reserve/a1.proxy", process.Limits{CPUShares: 5000, Cores: "0,3", Memory: 64 << 20}
		}},
		{"v1 below another parent", withResources("/sys/fs/cgroup/cpuset/a/b/share", "", 0, 0, 0), func(c *process.Cgroup) {
			c.Freezer, c.CPU, c.Memory = "/sys/fs/cgroup/freezer/a/b/a1.proxy", "/sys/fs/cgroup/cpu/a/b/a1.proxy", "/sys/fs/cgroup/memory/a/b/a1.proxy"
			c.CPUSet = "/sys/fs/cgroup/cpuset/a/b/share"
		}},
		{"ports alone", taskOnHost(), func(*process.Cgroup) {}},
		{"nothing", &drivers.TaskConfig{}, func(*process.Cgroup) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var want process.Cgroup
			tc.want(&want)
			must.Eq(t, want, taskCgroup(tc.task))
		})
	}
}

// One worker for a core, or for its worth.
func TestDefaultWorkers(t *testing.T) {
	machine := cpustats.Compute{TotalCompute: 10000, NumCores: 4} // 2500 MHz each
	for _, tc := range []struct {
		name    string
		task    *drivers.TaskConfig
		machine cpustats.Compute
		want    int
	}{
		{"a part of a core", withResources("", "", 100, 64, 0), machine, 1},
		{"nearly two", withResources("", "", 4999, 64, 0), machine, 1},
		{"two", withResources("", "", 5000, 64, 0), machine, 2},
		{"more than there is", withResources("", "", 99999, 64, 0), machine, 4},
		{"reserved cores", withResources("", "1,3,5", 7500, 64, 0), machine, 3},
		{"reserved cores, as the kernel writes them", withResources("", "0-2, 7", 7500, 64, 0), machine, 4},
		{"a machine that is not known", withResources("", "", 5000, 64, 0), cpustats.Compute{}, 1},
		{"no resources", &drivers.TaskConfig{}, machine, 1},
	} {
		t.Run(tc.name, func(t *testing.T) { must.Eq(t, tc.want, defaultWorkers(tc.task, tc.machine)) })
	}
}

// Who says how many workers there are is obeyed.
func TestTaskSpec_concurrency(t *testing.T) {
	task := withResources("", "0,1,2", 0, 64, 0)
	for hcl, want := range map[string]int{"": 3, "envoy {\n concurrency = 2\n}": 2} {
		spec, err := specFrom(t, task, sidecarHCL("")+"\n"+hcl)
		must.NoError(t, err)
		must.Eq(t, want, spec.Envoy.Concurrency)
		must.Eq(t, 64<<20, spec.Life.Run.Cgroup.Limits.Memory)
	}
}

func TestExitResult(t *testing.T) {
	oom := exitResult(process.Exit{Code: 137, Signal: 9, OOMKilled: true, MemoryLimit: 64 << 20}, "")
	must.True(t, oom.OOMKilled)
	must.Eq(t, 137, oom.ExitCode)
	must.EqError(t, oom.Err, "Envoy was killed by the kernel: out of memory (limit 64 MB)")
	must.ErrorContains(t, exitResult(process.Exit{Unobserved: true}, "").Err, "unobserved")
	must.NoError(t, exitResult(process.Exit{Code: 137, Signal: 9}, "").Err)
}

func TestMeter(t *testing.T) {
	m := newMeter(cpustats.Compute{TotalCompute: 10000, NumCores: 4})
	ofEnvoy := m.sample(process.Usage{RSS: 7}).ResourceUsage
	must.Eq(t, []string{"RSS"}, ofEnvoy.MemoryStats.Measured)

	ofGroup := m.sample(process.Usage{RSS: 7, Group: &process.GroupUsage{
		ThrottledPeriods: 1, Throttled: 2 * time.Microsecond, Memory: 20, MaxMemory: 30, Cache: 4, Swap: 5, Kernel: 6,
	}}).ResourceUsage
	must.Eq(t, &drivers.MemoryStats{
		RSS: 7, Usage: 20, MaxUsage: 30, Cache: 4, Swap: 5, KernelUsage: 6,
		Measured: []string{"RSS", "Cache", "Swap", "Usage", "Max Usage", "Kernel Usage"},
	}, ofGroup.MemoryStats)
	must.Eq(t, 1, ofGroup.CpuStats.ThrottledPeriods)
	must.Eq(t, 2000, ofGroup.CpuStats.ThrottledTime)
}
