package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// Four times `job run` and `job stop -purge`: nothing is left in Consul, no
// process, and the plugin has as many open files and goroutines as after the first.
func TestCycles(t *testing.T) {
	c := cluster(t)
	hcl, err := os.ReadFile(echoJob)
	must.NoError(t, err)
	quick := strings.Replace(string(hcl), `shutdown_delay = "3s"`, `shutdown_delay = "0s"`, 1)

	plugin := c.Plugins()
	must.Len(t, 1, plugin)
	openFiles := 0
	for cycle := range 4 {
		_, err := c.Nomad.Run(t.Context(), quick)
		must.NoError(t, err)
		eventually(t, 60*time.Second, func(ctx context.Context) error {
			proxies, err := c.Consul.Proxies(ctx)
			if err == nil && len(proxies) != 3 {
				err = fmt.Errorf("%d sidecars of 3 are registered", len(proxies))
			}
			return err
		})
		must.NoError(t, c.Nomad.AwaitSettled(t.Context(), "echo"))
		_, _, err = c.Nomad.Client.Jobs().Deregister("echo", true, nil)
		must.NoError(t, err)
		nothingLeft(t, c)
		if cycle == 0 {
			openFiles = idleFiles(t, plugin[0], 0)
		}
	}
	must.Eq(t, plugin, c.Plugins())
	idleFiles(t, plugin[0], openFiles)
	must.StrNotContains(t, goroutines(t, c.Nomad.Log, plugin[0]), "nomad-driver-connect/sidecar.")
}

// idleTime is longer than the plugin keeps a connection to Consul that nobody uses,
// and than it leaves an Envoy alone.
const idleTime = 6 * time.Second

// idleFiles counts a process' open files once their number has stayed for idleTime;
// with a limit it waits until there are no more than that.
func idleFiles(t *testing.T, pid, limit int) int {
	t.Helper()
	last, since := -1, time.Now()
	eventually(t, 30*time.Second, func(context.Context) error {
		open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			return err
		}
		if last != len(open) {
			since = time.Now()
		}
		if last = len(open); limit == 0 && time.Since(since) < idleTime {
			return errors.New("the number of open files changes")
		}
		if limit > 0 && last > limit {
			return fmt.Errorf("%d files are open, %d were after the first cycle", last, limit)
		}
		return nil
	})
	return last
}

// goroutines asks the Go runtime of the plugin, which answers with its end;
// Nomad has its words in its log.
func goroutines(t *testing.T, log string, pid int) string {
	t.Helper()
	before, err := os.ReadFile(log)
	must.NoError(t, err)
	must.NoError(t, syscall.Kill(pid, syscall.SIGQUIT))
	var dump string
	eventually(t, 30*time.Second, func(context.Context) error {
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		_, after, found := strings.Cut(string(content[len(before):]), "SIGQUIT: quit")
		if !found || !strings.Contains(after, "plugin process exited") {
			return errors.New("the plugin has not told its goroutines")
		}
		dump = after
		return nil
	})
	must.StrContains(t, dump, "nomad-driver-connect/driver.", must.Sprint("the dump is one of the driver"))
	return dump
}
