package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	fixedheapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"github.com/shoenig/test/must"
)

// cgroupOf is the directory of a process' cgroup, of one controller with
// cgroups v1.
func cgroupOf(t *testing.T, pid int, controller string) (dir string, v2 bool) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	must.NoError(t, err)
	_, err = os.Stat("/sys/fs/cgroup/cgroup.controllers")
	v2 = err == nil
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if v2 && fields[0] == "0" {
			return filepath.Join("/sys/fs/cgroup", fields[2]), true
		}
		if !v2 && slices.Contains(strings.Split(fields[1], ","), controller) {
			return filepath.Join("/sys/fs/cgroup", controller, fields[2]), false
		}
	}
	t.Fatalf("process %d is in no cgroup of %s:\n%s", pid, controller, text)
	return "", false
}

// setting reads a file of a cgroup: the one of v1, or of v2.
func setting(t *testing.T, pid int, controller, v1, v2 string) string {
	t.Helper()
	dir, unified := cgroupOf(t, pid, controller)
	name := v1
	if unified {
		name = v2
	}
	value, err := os.ReadFile(filepath.Join(dir, name))
	must.NoError(t, err)
	return strings.TrimSpace(string(value))
}

// overloadManager checks that the bootstrap has the one that a memory limit
// adds, and takes it away.
func overloadManager(t *testing.T, b *bootstrapv3.Bootstrap, limit uint64) {
	t.Helper()
	monitors := b.GetOverloadManager().GetResourceMonitors()
	must.Len(t, 1, monitors)
	must.Eq(t, "envoy.resource_monitors.fixed_heap", monitors[0].GetName())
	var heap fixedheapv3.FixedHeapConfig
	must.NoError(t, monitors[0].GetTypedConfig().UnmarshalTo(&heap))
	must.Between(t, limit*79/100, heap.GetMaxHeapSizeBytes(), limit*80/100)
	var actions []string
	for _, action := range b.GetOverloadManager().GetActions() {
		actions = append(actions, action.GetName())
	}
	must.Eq(t, []string{"envoy.overload_actions.shrink_heap", "envoy.overload_actions.stop_accepting_requests"}, actions)
	b.OverloadManager = nil
}

func argsOf(t *testing.T, pid int) string {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	must.NoError(t, err)
	return strings.ReplaceAll(string(line), "\x00", " ")
}
