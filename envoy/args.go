package envoy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BootstrapFD is the descriptor on which Envoy finds its bootstrap.
const BootstrapFD = 3

// FDPath is where Envoy finds what it has open as a descriptor.
func FDPath(fd int) string { return "/dev/fd/" + strconv.Itoa(fd) }

const (
	// epochFlag is what generations are told from each other by, and baseIDFlag what
	// they are told from others by.
	epochFlag  = "--restart-epoch"
	baseIDFlag = "--base-id"
)

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
	"--disable-hot-restart": "the driver hot restarts Envoy", epochFlag: "the driver sets it",
	baseIDFlag: "the driver sets it", "--use-dynamic-base-id": "the driver sets it", "--base-id-path": "the driver sets it",
	"--socket-path": "the driver sets it", "--socket-mode": "the driver sets it",
	"--skip-hot-restart-on-no-parent": "the driver sets it", "--skip-hot-restart-parent-stats": "the driver sets it",
}

// CheckArgs says which of a user's arguments for Envoy the driver sets itself, and
// what the user is to set instead; nil when it sets none of them.
func CheckArgs(args []string) error {
	for _, arg := range args {
		name := FlagName(arg)
		if why, own := ownFlags[name]; own {
			return fmt.Errorf("%q cannot be given: %s", name, why)
		}
	}
	return nil
}

// FlagName is the flag of an argument that has its value in it: Envoy parts them at a
// blank, and people take it to part them at "=".
func FlagName(arg string) string {
	if end := strings.IndexAny(arg, "= "); end >= 0 {
		return arg[:end]
	}
	return arg
}

// LogLevels gives those that Envoy knows, the most talkative first.
func LogLevels() []string {
	return []string{"trace", "debug", "info", "warning", "error", "critical", "off"}
}

// Options are what Envoy's command lines differ in.
type Options struct {
	BaseID      uint32 // of no other Envoys but the generations of this one
	Epoch       int    // how many generations were there before
	LogLevel    string // one of LogLevels
	Concurrency int    // worker threads, at least 1

	// DrainTimeout is how long a generation takes to leave after a hot restart, in
	// whole seconds.
	DrainTimeout time.Duration

	Extra []string // a user's own, that passed CheckArgs
}

// parentShutdown is how long a generation goes on to speak with the one before. During
// that time it asks for the socket of every listener that Consul adds. Then it tells the
// one before to end. StandIn hears that in its place, since the driver ends it.
const parentShutdown = 3 * time.Second

// Args is Envoy's command line, without argv[0]; it finds its bootstrap on
// BootstrapFD. Generations find each other in their working directory. A new one
// counts for itself: what the old one has counted says nothing of whether it is ready.
func (o Options) Args() []string {
	drain := strconv.Itoa(int(o.DrainTimeout.Seconds()))
	args := []string{
		"--config-path", FDPath(BootstrapFD),
		"--log-level", o.LogLevel,
		"--concurrency", strconv.Itoa(o.Concurrency),
		"--drain-strategy", "immediate",
		"--drain-time-s", drain,
		"--parent-shutdown-time-s", strconv.Itoa(int(parentShutdown.Seconds())),
		baseIDFlag, strconv.Itoa(int(o.BaseID)),
		epochFlag, strconv.Itoa(o.Epoch),
		"--socket-path", hotRestartSocket,
		"--socket-mode", "600",
		"--skip-hot-restart-on-no-parent",
		"--skip-hot-restart-parent-stats",
	}
	return slices.Concat(args, o.Extra)
}

// validateArgs makes Envoy check the bootstrap and exit.
func validateArgs() []string {
	return []string{"--mode", "validate", "--config-path", FDPath(BootstrapFD), "--log-level", "error"}
}

// EpochOf reads the epoch from a command line of Options.Args, with argv[0] or
// without; ok is false for one that names none, as that of another program.
func EpochOf(args []string) (epoch int, ok bool) {
	epoch, err := strconv.Atoi(valueOf(args, epochFlag))
	return epoch, err == nil
}

// baseIDIn reads the base ID as EpochOf does the epoch.
func baseIDIn(args []string) (base uint32, ok bool) {
	parsed, err := strconv.ParseUint(valueOf(args, baseIDFlag), 10, 32)
	return uint32(parsed), err == nil && parsed < maxBaseID
}

// valueOf is what stands behind a flag; empty for nothing.
func valueOf(args []string, flag string) string {
	if at := slices.Index(args, flag); at >= 0 && at+1 < len(args) {
		return args[at+1]
	}
	return ""
}
