package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// webMesh is webJob, running.
func webMesh(t *testing.T, job string) (*mesh, *api.Allocation) {
	t.Helper()
	m := &mesh{Cluster: cluster(t), t: t}
	_, err := m.Nomad.Run(t.Context(), job)
	must.NoError(t, err)
	return m, awaitRunning(t, m.Cluster, "web", "web")
}

// The task's resources hold for Envoy, and what it uses is told.
func TestResources(t *testing.T) {
	const driver = `driver = "connect"`
	m, alloc := webMesh(t, strings.Replace(webJob(0, ""), driver, driver+restartSoon, 1))
	pid := m.envoyOf(alloc)

	t.Run("limits", func(t *testing.T) {
		for _, controller := range []string{"memory", "cpu", "freezer"} {
			dir, _ := cgroupOf(t, pid, controller)
			must.StrHasPrefix(t, alloc.ID+".proxy", filepath.Base(dir))
		}
		must.Eq(t, strconv.Itoa(128<<20), setting(t, pid, "memory", "memory.limit_in_bytes", "memory.max"))
		weight := setting(t, pid, "cpu", "cpu.shares", "cpu.weight")
		must.SliceContains(t, []string{"20", "6"}, weight, must.Sprint("20 MHz, by v1 and by v2"))
		plugin, _ := cgroupOf(t, m.Plugins()[0], "memory")
		must.StrNotContains(t, plugin, alloc.ID, must.Sprint("the plugin is outside"))
	})

	t.Run("one worker", func(t *testing.T) {
		must.StrContains(t, argsOf(t, pid), "--concurrency 1 ", must.Sprint("20 MHz are no core"))
	})

	t.Run("stats are those of the cgroup", func(t *testing.T) {
		eventually(t, 20*time.Second, func(context.Context) error {
			stats, err := m.Nomad.Client.Allocations().Stats(alloc, nil)
			if err != nil {
				return err
			}
			task, ok := stats.Tasks["proxy"]
			if !ok {
				return errors.New("there are no stats of the sidecar")
			}
			memory := task.ResourceUsage.MemoryStats
			if most := setting(t, pid, "memory", "memory.max_usage_in_bytes", "memory.peak"); strconv.FormatUint(memory.MaxUsage, 10) != most {
				return fmt.Errorf("the most used memory is %d, and not %s", memory.MaxUsage, most)
			}
			if memory.RSS < 10<<20 || memory.RSS > memory.Usage || memory.Usage > memory.MaxUsage || memory.MaxUsage > 128<<20 {
				return fmt.Errorf("stats of the memory: %+v", memory)
			}
			return nil
		})
	})

	t.Run("out of memory", func(t *testing.T) { outOfMemory(t, m, alloc) })
	t.Run("out of memory after the plugin was killed", func(t *testing.T) {
		old := m.Plugins()
		must.NoError(t, syscall.Kill(old[0], syscall.SIGKILL))
		eventually(t, 30*time.Second, func(context.Context) error {
			if now := m.Plugins(); len(now) != 1 || now[0] == old[0] {
				return fmt.Errorf("plugins: %v", now)
			}
			return nil
		})
		m.awaitObedience(alloc, "proxy")
		outOfMemory(t, m, alloc)
	})

	must.NoError(t, m.Nomad.Purge(t.Context(), "web"))
	nothingLeft(t, m.Cluster)
	eventually(t, 40*time.Second, func(context.Context) error { // Nomad removes what it made
		left, err := filepath.Glob("/sys/fs/cgroup/*/*/" + alloc.ID + ".proxy*")
		if len(left) > 0 {
			err = fmt.Errorf("the cgroups %v are left", left)
		}
		return err
	})
}

// outOfMemory lets somebody in the cgroup take all memory that is left. The
// kernel is told to prefer Envoy.
func outOfMemory(t *testing.T, m *mesh, alloc *api.Allocation) {
	pid := m.envoyOf(alloc)
	since := time.Now()
	must.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("1000"), 0))
	dir, _ := cgroupOf(t, pid, "memory")
	hog := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ > "$1/cgroup.procs" && exec tail /dev/zero`, "hog", dir)
	must.Error(t, hog.Run(), must.Sprint("it is next"))
	eventually(t, 20*time.Second, func(context.Context) error {
		fresh, _, err := m.Nomad.Client.Allocations().Info(alloc.ID, nil)
		if err != nil {
			return err
		}
		events := strings.Join(agents.EventsSince(fresh, "proxy", since), "\n")
		if !strings.Contains(events, "out of memory (limit 128 MB)") {
			return fmt.Errorf("no event says that memory ran out:\n%s", events)
		}
		for _, event := range fresh.TaskStates["proxy"].Events {
			if event.Time > since.UnixNano() && event.Details["oom_killed"] == "true" {
				return nil // the second time within a minute
			}
		}
		if !strings.Contains(events, "serves again") {
			return errors.New("Envoy is not started again")
		}
		return nil
	})
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		proxy, err := m.proxyOf(ctx, alloc)
		if err == nil && (proxy.Meta["proxy-pid"] == strconv.Itoa(pid) || proxy.Meta["proxy-pid"] == "") {
			err = errors.New("Envoy has not been restarted")
		}
		return err
	})
}

// A limit that Envoy cannot even start within is said to be the reason.
func TestResources_tooLittle(t *testing.T) {
	c := cluster(t)
	job := mistakeJob("tight", "", withSidecar("", ""))
	_, err := c.Nomad.Run(t.Context(), strings.Replace(job, "memory = 128", "memory = 10", 1))
	must.NoError(t, err)
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		allocs, err := c.Nomad.Allocs(ctx, "tight")
		if err != nil || len(allocs) != 1 {
			return errors.Join(fmt.Errorf("%d allocations", len(allocs)), err)
		}
		events := strings.Join(agents.Events(allocs[0], "proxy"), "\n")
		if !strings.Contains(events, "Envoy was killed by the kernel: out of memory (limit 10 MB) before it was ready; give the task more") {
			return fmt.Errorf("no event says what is wrong:\n%s", events)
		}
		return nil
	})
	must.NoError(t, c.Nomad.Purge(t.Context(), "tight"))
	nothingLeft(t, c)
}

// Reserved cores are the task's own, with a worker for each of them.
func TestResources_cores(t *testing.T) {
	job := webJob(0, "")
	proxy := strings.LastIndex(job, "cpu    = 20")
	m, alloc := webMesh(t, job[:proxy]+"cores  = 1"+job[proxy+len("cpu    = 20"):])
	pid := m.envoyOf(alloc)
	must.StrContains(t, argsOf(t, pid), "--concurrency 1 ")
	dir, _ := cgroupOf(t, pid, "cpuset")
	must.StrContains(t, dir, "/reserve")
	cores := setting(t, pid, "cpuset", "cpuset.cpus", "cpuset.cpus")
	_, err := strconv.Atoi(cores)
	must.NoError(t, err, must.Sprint("one core"))
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must.NoError(t, err)
	must.StrContains(t, string(status), "Cpus_allowed_list:\t"+cores+"\n")
}
