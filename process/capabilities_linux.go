package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// lowPort is the one capability that a process may be given: to listen on a port that is
// root's, below 1024.
const lowPort = unix.CAP_NET_BIND_SERVICE

// boundCapabilities takes from this thread, and from what it starts, all capabilities that
// could be gained. (Those that it has are lost as it becomes another user.)
func (l Launch) boundCapabilities() error {
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		if capability == lowPort && l.LowPorts {
			continue
		}
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); {
		case errors.Is(err, unix.EINVAL): // one that this kernel does not know
		case errors.Is(err, unix.EPERM):
			return nil // who may not drop them has none to hand on
		case err != nil:
			return fmt.Errorf("give up capability %d: %w", capability, err)
		}
	}
	return nil
}

// keepLowPorts has a child keep that capability as it becomes another user, where there is
// one to keep. Where there is none, the program says what it cannot listen on.
func (l Launch) keepLowPorts(attr *syscall.SysProcAttr) {
	if l.LowPorts && hasCapability(lowPort) {
		attr.AmbientCaps = []uintptr{lowPort}
	}
}

// hasCapability tells whether this process has one.
func hasCapability(capability int) bool {
	status, err := os.ReadFile("/proc/self/status")
	return err == nil && effective(string(status))&(1<<capability) != 0
}

// effective reads the capabilities from a /proc/<pid>/status.
func effective(status string) uint64 {
	for line := range strings.Lines(status) {
		if mask, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, _ := strconv.ParseUint(strings.TrimSpace(mask), 16, 64) // none for what is no number
			return set
		}
	}
	return 0
}
