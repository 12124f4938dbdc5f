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
	"--concurrency":         "set envoy.concurrency instead",
	"--disable-hot-restart": "the driver sets it", "--restart-epoch": "the driver sets it",
	"--base-id": "the driver sets it", "--use-dynamic-base-id": "the driver sets it",
	"--mode":           "the driver sets it",
	"--drain-strategy": "the driver sets it",
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

// envoyArgs is Envoy's command line, without argv[0].
func envoyArgs(e Envoy) []string {
	args := []string{
		"--config-path", fdPath(bootstrapFD),
		"--log-level", e.LogLevel,
		"--concurrency", strconv.Itoa(e.Concurrency),
		"--drain-strategy", "immediate",
		"--disable-hot-restart",
	}
	return slices.Concat(args, e.Args)
}

// validateArgs makes Envoy check the bootstrap and exit.
func validateArgs() []string {
	return []string{"--mode", "validate", "--config-path", fdPath(bootstrapFD), "--log-level", "error"}
}

func fdPath(fd int) string { return "/dev/fd/" + strconv.Itoa(fd) }
