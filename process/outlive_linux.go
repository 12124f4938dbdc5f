package process

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// auditArch is how seccomp calls the architectures of Linux.
var auditArch = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64,
	"arm64": unix.AUDIT_ARCH_AARCH64,
}

// Offsets in struct seccomp_data of linux/seccomp.h; the lower half of the
// first argument on little-endian machines.
const (
	seccompNr   = 0
	seccompArch = 4
	seccompArg0 = 16
)

// outliveParent takes from the child the wish to end with its parent:
// prctl(PR_SET_PDEATHSIG) does nothing from now on, and says that it did. (An Envoy that
// can be hot restarted asks for it, and would end with the plugin.)
func (b *birth) outliveParent() error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("%w: not known how on %s", errOutlive, runtime.GOARCH)
	}
	b.filterCalls(errOutlive, []unix.SockFilter{
		load(seccompArch),
		skipUnless(arch, 5),
		load(seccompNr),
		skipUnless(unix.SYS_PRCTL, 3),
		load(seccompArg0),
		skipUnless(unix.PR_SET_PDEATHSIG, 1),
		answer(unix.SECCOMP_RET_ERRNO), // with the number 0: success
		answer(unix.SECCOMP_RET_ALLOW),
	})
	return nil
}

// filterCalls has the kernel judge each system call of the child from now on.
func (b *birth) filterCalls(doing error, filter []unix.SockFilter) {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	b.pinned.Pin(program.Filter)
	b.step(doing, unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, pin(b, &program))
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func skipUnless(value uint32, instructions uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: instructions}
}

func answer(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}
