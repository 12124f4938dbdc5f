package process

import (
	"fmt"
	"runtime"
	"unsafe"

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

// outliveParent takes from this thread, and from what it starts, the wish to
// end with its parent: prctl(PR_SET_PDEATHSIG) does nothing from now on, and
// says that it did. (An Envoy that can be hot restarted asks for it, and would
// end with the plugin.) The thread must not be able to gain privileges.
func outliveParent() error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("keep children from ending with us: not known how on %s", runtime.GOARCH)
	}
	filter := []unix.SockFilter{
		load(seccompArch),
		skipUnless(arch, 5),
		load(seccompNr),
		skipUnless(unix.SYS_PRCTL, 3),
		load(seccompArg0),
		skipUnless(unix.PR_SET_PDEATHSIG, 1),
		answer(unix.SECCOMP_RET_ERRNO), // with the number 0: success
		answer(unix.SECCOMP_RET_ALLOW),
	}
	if err := filterCalls(filter); err != nil {
		return fmt.Errorf("keep children from ending with us (seccomp): %w", err)
	}
	return nil
}

// filterCalls has the kernel judge each system call of this thread from now on.
func filterCalls(filter []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(filter)
	return err
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
