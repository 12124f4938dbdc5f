package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalSet is the size of a set of signals of the kernel's, in bytes.
const signalSet = 8

// tell writes a failure.
//
//go:nosplit
//go:norace
func tell(report uintptr, step, errno uint32) {
	said := [2]uint32{step, errno}
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, report, uintptr(unsafe.Pointer(&said)), unsafe.Sizeof(said))
}

// setMask sets which signals wait for this thread, and keeps which did before. It does not
// fail: both are there.
func setMask(mask, before *uint64) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(mask)), uintptr(unsafe.Pointer(before)), signalSet, 0, 0)
}

// action is struct sigaction of the kernel's, on amd64 and arm64.
type action struct{ handler, flags, restorer, mask uint64 }

// byDefault and ignored are SIG_DFL and SIG_IGN, handlers that a program inherits.
const byDefault, ignored = 0, 1

// actionOf is what happens when this process gets a signal; byDefault for one that there
// is not.
func actionOf(signal uintptr) action {
	var now action
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, 0, uintptr(unsafe.Pointer(&now)), signalSet, 0, 0)
	return now
}
