package process

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// filesIn makes a directory with files, as the kernel shows a group.
func filesIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

// What the kernel shows with cgroups v2 (Linux 6.12) and v1 (5.4), shortened.
var (
	unifiedFiles = map[string]string{
		"cpu.stat":            "usage_usec 5000123\nuser_usec 3000100\nsystem_usec 2000023\nnr_periods 9\nnr_throttled 4\nthrottled_usec 70\n",
		"memory.stat":         "anon 14319616\nfile 4096000\nkernel 520192\n",
		"memory.current":      "18935808\n",
		"memory.peak":         "20000000\n",
		"memory.swap.current": "8192\n",
		"memory.events":       "low 0\nhigh 0\nmax 21\noom 2\noom_kill 1\noom_group_kill 0\n",
	}
	memoryFiles = map[string]string{
		"memory.stat":                "cache 1\nrss 2\ntotal_cache 4096000\ntotal_rss 14319616\ntotal_swap 8192\n",
		"memory.usage_in_bytes":      "18935808\n",
		"memory.max_usage_in_bytes":  "20000000\n",
		"memory.kmem.usage_in_bytes": "520192\n",
		"memory.oom_control":         "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
	}
	cpuFiles = map[string]string{
		"cpu.stat":     "nr_periods 9\nnr_throttled 4\nthrottled_time 70000\n",
		"cpuacct.stat": "user 300\nsystem 200\n",
	}
)

func TestCgroup_usage(t *testing.T) {
	group := &GroupUsage{
		ThrottledPeriods: 4, Throttled: 70 * time.Microsecond,
		Memory: 18935808, MaxMemory: 20000000, Cache: 4096000, Swap: 8192, Kernel: 520192,
	}
	without := func(files map[string]string, names ...string) map[string]string {
		rest := map[string]string{}
		for name, content := range files {
			rest[name] = content
		}
		for _, name := range names {
			delete(rest, name)
		}
		return rest
	}
	for _, tc := range []struct {
		name   string
		cgroup Cgroup
		want   Usage
		err    error
	}{
		{"v2", Cgroup{Unified: filesIn(t, unifiedFiles)},
			Usage{User: 3000100 * time.Microsecond, System: 2000023 * time.Microsecond, RSS: 14319616, Group: group}, nil},
		{"v1", Cgroup{Memory: filesIn(t, memoryFiles), CPU: filesIn(t, cpuFiles)},
			Usage{User: 3 * time.Second, System: 2 * time.Second, RSS: 14319616, Group: group}, nil},
		{"v1 with an account of its own, no process", Cgroup{Memory: filesIn(t, memoryFiles), CPU: filesIn(t, without(cpuFiles, "cpuacct.stat"))},
			Usage{RSS: 14319616, Group: group}, nil},
		{"v2 of an old kernel", Cgroup{Unified: filesIn(t, without(unifiedFiles, "memory.peak", "memory.swap.current"))},
			Usage{User: 3000100 * time.Microsecond, System: 2000023 * time.Microsecond, RSS: 14319616, Group: &GroupUsage{
				ThrottledPeriods: 4, Throttled: 70 * time.Microsecond, Memory: 18935808, Cache: 4096000, Kernel: 520192,
			}}, nil},
		{"v2 without the memory controller", Cgroup{Unified: filesIn(t, without(unifiedFiles, "memory.stat", "memory.current"))}, Usage{}, fs.ErrNotExist},
		{"gone", Cgroup{Unified: filepath.Join(t.TempDir(), "gone")}, Usage{}, fs.ErrNotExist},
		{"none", Cgroup{}, Usage{}, fs.ErrNotExist},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.cgroup.Usage()
			must.ErrorIs(t, err, tc.err)
			if tc.err == nil {
				must.Eq(t, tc.want, got)
			}
		})
	}
}

func TestCgroup_usage_garbage(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no numbers": {"memory.current": "much"},
		"no names":   {"cpu.stat": "4711"},
	} {
		t.Run(name, func(t *testing.T) {
			all := map[string]string{"cpu.stat": "", "memory.stat": "", "memory.current": "0"}
			for name, content := range files {
				all[name] = content
			}
			_, err := Cgroup{Unified: filesIn(t, all)}.Usage()
			must.Error(t, err)
		})
	}
}

func TestCgroup_limit(t *testing.T) {
	limits := Limits{Memory: 64 << 20, MemoryReserved: 32 << 20, CPUShares: 500, Cores: "0,3"}
	empty := func(names ...string) string {
		files := map[string]string{}
		for _, name := range names {
			files[name] = ""
		}
		return filesIn(t, files)
	}
	v2 := []string{"memory.max", "memory.low", "cpu.weight", "cpuset.cpus"}
	v1 := []string{"memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness", "cpu.shares", "cpuset.cpus"}
	dir := empty(v1...)
	for _, tc := range []struct {
		name   string
		cgroup Cgroup
		dir    string
		want   map[string]string
	}{
		{"v2", Cgroup{Unified: empty(v2...), Limits: limits}, "",
			map[string]string{"memory.max": "67108864", "memory.low": "33554432", "cpu.weight": "58", "cpuset.cpus": "0,3"}},
		{"v2 without limits", Cgroup{Unified: empty(v2...)}, "",
			map[string]string{"memory.max": "", "memory.low": "", "cpu.weight": "", "cpuset.cpus": ""}},
		{"v2 without controllers", Cgroup{Unified: empty(), Limits: limits}, "", nil},
		{"v1", Cgroup{Freezer: dir, CPU: dir, Memory: dir, CPUSet: dir, Limits: limits}, dir,
			map[string]string{"memory.limit_in_bytes": "67108864", "memory.soft_limit_in_bytes": "33554432", "memory.swappiness": "0", "cpu.shares": "500", "cpuset.cpus": "0,3"}},
		{"none", Cgroup{Limits: limits}, t.TempDir(), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must.NoError(t, tc.cgroup.limit())
			got := map[string]string{}
			entries, err := os.ReadDir(tc.cgroup.Unified + tc.dir)
			must.NoError(t, err)
			for _, entry := range entries {
				content, err := os.ReadFile(filepath.Join(tc.cgroup.Unified+tc.dir, entry.Name()))
				must.NoError(t, err)
				got[entry.Name()] = string(content)
			}
			must.MapEq(t, tc.want, got)
		})
	}
}

// The curve goes through the kernel's bounds and what is usual; 1000 MHz are
// about what a task with 1024 shares is.
func TestWeightOf(t *testing.T) {
	for shares, want := range map[int64]int64{
		-1: 1, 0: 1, 2: 1, 3: 2, 20: 6, 100: 17, 500: 58, 1000: 99, 1024: 100, 2000: 170, 262143: 10000, 262144: 10000, 1 << 30: 10000,
	} {
		t.Run(strconv.FormatInt(shares, 10), func(t *testing.T) { must.Eq(t, want, weightOf(shares)) })
	}
}

func TestCgroup_explain(t *testing.T) {
	killed, unobserved := Exit{Code: 137, Signal: syscall.SIGKILL}, Exit{Unobserved: true}
	v1, v2 := Cgroup{Memory: filesIn(t, memoryFiles)}, Cgroup{Unified: filesIn(t, unifiedFiles)}
	limited := v2
	limited.Limits.Memory = 64 << 20
	for _, tc := range []struct {
		name   string
		cgroup Cgroup
		exit   Exit
		before uint64
		want   string
	}{
		{"v2", limited, killed, 0, "was killed by the kernel: out of memory (limit 64 MB)"},
		{"v1 without a limit", v1, killed, 0, "was killed by the kernel: out of memory"},
		{"unobserved", limited, unobserved, 0, "exited while unobserved, and the kernel had killed for it: out of memory (limit 64 MB)"},
		{"another one before", v2, killed, 1, "was killed by signal 9 (SIGKILL)"},
		{"by itself", v2, Exit{Code: 1}, 0, "exited with status 1"},
		{"no cgroup", Cgroup{}, killed, 0, "was killed by signal 9 (SIGKILL)"},
	} {
		t.Run(tc.name, func(t *testing.T) { must.Eq(t, tc.want, tc.cgroup.Explain(tc.exit, tc.before).String()) })
	}
}
