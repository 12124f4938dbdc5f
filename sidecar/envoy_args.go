package sidecar

import (
	"slices"
	"strconv"
	"strings"
)

// bootstrapFD is the descriptor on which Envoy finds its bootstrap.
const bootstrapFD = 3

// ownFlags are the flags of Envoy that the driver gives, by all their names.
// Envoy refuses a flag that is given twice.
var ownFlags = map[string]string{
	"-c": "the driver renders the bootstrap", "--config-path": "the driver renders the bootstrap",
	"--config-yaml": "it would show in the process list; set proxy.config instead",
	"-l":            "set envoy.log_level instead", "--log-level": "set envoy.log_level instead",
	"--concurrency":  "set envoy.concurrency instead",
	"--drain-time-s": "set drain.timeout instead", "--parent-shutdown-time-s": "set drain.timeout instead",
	"--drain-strategy":      "the driver sets it",
	"--mode":                "the driver sets it",
	"--disable-hot-restart": "the driver hot restarts Envoy", "--restart-epoch": "the driver sets it",
	"--base-id": "the driver sets it", "--use-dynamic-base-id": "the driver sets it", "--base-id-path": "the driver sets it",
	"--socket-path": "the driver sets it", "--socket-mode": "the driver sets it",
	"--skip-hot-restart-on-no-parent": "the driver sets it", "--skip-hot-restart-parent-stats": "the driver sets it",
}

// CheckArgs says which of a user's arguments for Envoy the driver sets itself.
func CheckArgs(field string, args []string) error {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if why, own := ownFlags[name]; own {
			return Invalidf(field, "%q cannot be given: %s", name, why)
		}
	}
	return nil
}

// LogLevels are those that Envoy knows.
var LogLevels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

// envoyArgs is Envoy's command line, without argv[0]. The generations of a
// sidecar find each other in their working directory. A new one counts for
// itself: what the old one has counted says nothing of whether it is ready.
func envoyArgs(s Spec, epoch int) []string {
	drain := strconv.Itoa(int(s.DrainTimeout.Seconds()))
	args := []string{
		"--config-path", fdPath(bootstrapFD),
		"--log-level", s.Envoy.LogLevel,
		"--concurrency", strconv.Itoa(s.Envoy.Concurrency),
		"--drain-strategy", "immediate",
		"--drain-time-s", drain,
		"--parent-shutdown-time-s", drain,
		"--base-id", strconv.Itoa(int(baseID(s.Run.Dir))),
		"--restart-epoch", strconv.Itoa(epoch),
		"--socket-path", hotRestartSocket,
		"--socket-mode", "600",
		"--skip-hot-restart-on-no-parent",
		"--skip-hot-restart-parent-stats",
	}
	return slices.Concat(args, s.Envoy.Args)
}

// validateArgs makes Envoy check the bootstrap and exit.
func validateArgs() []string {
	return []string{"--mode", "validate", "--config-path", fdPath(bootstrapFD), "--log-level", "error"}
}

func fdPath(fd int) string { return "/dev/fd/" + strconv.Itoa(fd) }
