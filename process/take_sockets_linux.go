package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// CanTakeSockets says in a sentence why this process may not take the sockets of
// processes of other users (see Listeners), and what follows; nil when it may.
func CanTakeSockets() error {
	missing := missingToTake()
	if missing == "" {
		return nil
	}
	return fmt.Errorf("%s: the listening sockets of a process cannot be kept when it crashes, and who connects until the next one listens is refused", missing)
}

func missingToTake() string {
	if err := takeOwn(); err != nil {
		if errors.Is(err, unix.ENOSYS) {
			return "the kernel has no pidfd_getfd (Linux 5.6 or later has)"
		}
		return fmt.Sprintf("pidfd_getfd fails (%v), as with a seccomp filter or in a container that forbids it", err)
	}
	if ptraceScope() >= noAttach {
		return "kernel.yama.ptrace_scope is 3, which forbids pidfd_getfd to everybody until the machine is booted with another value"
	}
	if !hasCapability(unix.CAP_SYS_PTRACE) {
		return "the Nomad agent has no CAP_SYS_PTRACE, which pidfd_getfd needs for processes of other users; let it have that"
	}
	return ""
}

// takeOwn takes a descriptor of this very process, which is only refused where nobody
// may take any.
func takeOwn() error {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(self) }()
	fd, err := unix.PidfdGetfd(self, self, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// noAttach is the value of Yama's that no capability helps against.
const noAttach = 3

// ptraceScope is the value of Yama's, 0 where the kernel has no Yama.
func ptraceScope() int {
	text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return 0
	}
	scope, _ := strconv.Atoi(string(bytes.TrimSpace(text))) // 0 as well for what is no number
	return scope
}
