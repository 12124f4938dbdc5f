package process

import (
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// hasSeccomp asks for a filter at no address, which only a kernel without filters finds
// wrong for another reason.
func hasSeccomp() bool {
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0)
	return errors.Is(err, unix.EFAULT) && auditArch[runtime.GOARCH] != 0 && len(archCalls) > 0
}

// Arguments of calls that depend on them: the low halves, on little-endian machines.
const (
	seccompArg2 = seccompArg0 + 16

	// newNamespaces are the flags of clone that make namespaces.
	newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME
)

// listFilter lets the calls of the list through. To others the kernel answers as an older
// one that does not know them: libraries try what is new, and fall back.
func listFilter() []unix.SockFilter {
	filter := []unix.SockFilter{
		load(seccompArch),
		skipIf(auditArch[runtime.GOARCH], 1),
		refuse(unix.ENOSYS), // of another ABI
		load(seccompNr),
	}
	filter = append(filter, forkFilter()...)
	filter = append(filter, socketFilter()...)
	for _, call := range slices.Concat(busyCalls, calls, archCalls) {
		filter = append(filter, skipUnless(call, 1), answer(unix.SECCOMP_RET_ALLOW))
	}
	return append(filter, refuse(unix.ENOSYS))
}

// forkFilter lets threads and processes be made, but no namespaces. (That is why clone3 is
// not on the list: its flags are behind a pointer.)
func forkFilter() []unix.SockFilter {
	return []unix.SockFilter{
		skipUnless(unix.SYS_CLONE, 4),
		load(seccompArg0),
		skipUnlessAny(newNamespaces, 1),
		refuse(unix.EPERM),
		answer(unix.SECCOMP_RET_ALLOW),
	}
}

// socketFilter lets sockets be made that a proxy speaks on, and that tell of addresses.
func socketFilter() []unix.SockFilter {
	return []unix.SockFilter{
		skipUnless(unix.SYS_SOCKET, 9),
		load(seccompArg0),
		skipIf(unix.AF_INET, 6),
		skipIf(unix.AF_INET6, 5),
		skipIf(unix.AF_UNIX, 4),
		skipUnless(unix.AF_NETLINK, 2),
		load(seccompArg2),
		skipIf(unix.NETLINK_ROUTE, 1),
		refuse(unix.EAFNOSUPPORT),
		answer(unix.SECCOMP_RET_ALLOW),
	}
}

func skipIf(value uint32, instructions uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: instructions}
}

// skipUnlessAny skips when none of the bits are set.
func skipUnlessAny(bits uint32, instructions uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: bits, Jf: instructions}
}

func refuse(errno unix.Errno) unix.SockFilter {
	return answer(unix.SECCOMP_RET_ERRNO | uint32(errno))
}
