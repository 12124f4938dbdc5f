package envoy

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

func TestCheckArgs(t *testing.T) {
	must.NoError(t, CheckArgs([]string{"--component-log-level", "upstream:debug"}))
	for _, bad := range []string{"-c", "--config-yaml={}", "--log-level", "--concurrency=2", "--restart-epoch", "-l", "--config-yaml {}", "-c /etc/passwd"} {
		must.ErrorContains(t, CheckArgs([]string{bad}), "cannot be given")
	}
}

// Whatever the driver gives itself, a user may not give.
func TestOptions_args(t *testing.T) {
	args := Options{BaseID: 210229575, Epoch: 3, LogLevel: "info", Concurrency: 2, DrainTimeout: 90 * time.Second, Extra: []string{"--cpuset-threads"}}.Args()
	must.Eq(t, []string{
		"--config-path", "/dev/fd/3", "--log-level", "info", "--concurrency", "2",
		"--drain-strategy", "immediate", "--drain-time-s", "90", "--parent-shutdown-time-s", "3",
		"--base-id", "210229575", "--restart-epoch", "3", "--socket-path", "hot_restart", "--socket-mode", "600",
		"--skip-hot-restart-on-no-parent", "--skip-hot-restart-parent-stats", "--cpuset-threads",
	}, args)
	for _, arg := range args {
		if arg[0] == '-' && arg != "--cpuset-threads" {
			must.Error(t, CheckArgs([]string{arg}), must.Sprint(arg))
		}
	}
	epoch, ok := EpochOf(args)
	must.True(t, ok)
	must.Eq(t, 3, epoch)
}

func TestEpochOf_nothing(t *testing.T) {
	for _, args := range [][]string{nil, {"sh"}, {"envoy", "--restart-epoch"}, {"envoy", "--restart-epoch", "x"}} {
		_, ok := EpochOf(args)
		must.False(t, ok, must.Sprint(args))
	}
}
