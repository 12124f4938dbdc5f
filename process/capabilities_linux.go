package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lowPort is the one capability that a process may be given: to listen on a port that is
// root's, below 1024.
const lowPort = unix.CAP_NET_BIND_SERVICE

// giveUpPrivileges takes from the child all ways to gain privileges, and all capabilities that
// could be gained, or that an agent was told to hand on. (Those that it has are lost as it
// becomes another user, and otherwise as it becomes the program.)
func (b *birth) giveUpPrivileges() error {
	b.step(errPrivileges, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		if capability == lowPort && b.LowPorts {
			continue
		}
		// The kernel may not know it; who may not drop it has none to hand on.
		b.step(errCapability, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability).passes = [2]unix.Errno{unix.EINVAL, unix.EPERM}
	}
	var sets [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("%w: look what there is: %w", errCapability, err)
	}
	for i := range sets { // what is inherited no more is not ambient, either
		sets[i].Inheritable = 0
	}
	b.setCapabilities(errCapability, sets)
	return nil
}

func (b *birth) setCapabilities(doing error, sets [2]unix.CapUserData) {
	b.step(doing, unix.SYS_CAPSET, pin(b, &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}), pin(b, &sets[0]))
}

// becomeUser makes the child the user's, with no group but the user's own, and with the one
// capability where a field asks for it and there is one to keep. Where there is none, the
// program says what it cannot listen on.
func (b *birth) becomeUser() error {
	keeps := b.LowPorts && hasCapability(lowPort)
	if b.User.Switch {
		become := fmt.Errorf("become user %s", b.User.Name)
		if keeps {
			b.step(become, unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
		}
		b.step(become, unix.SYS_SETGROUPS)
		b.step(become, unix.SYS_SETGID, uintptr(b.User.GID))
		b.step(become, unix.SYS_SETUID, uintptr(b.User.UID))
		// Until it is the program it has a copy of what we know.
		b.step(become, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	}
	if keeps {
		b.setCapabilities(errLowPort, [2]unix.CapUserData{{Effective: 1 << lowPort, Permitted: 1 << lowPort, Inheritable: 1 << lowPort}})
		b.step(errLowPort, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, lowPort)
	}
	return nil
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
