package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Identity tells a process from every other one, of this boot or another.
type Identity struct {
	PID       int
	StartTime uint64 // clock ticks after boot: field 22 of proc_pid_stat(5)
	BootID    string
}

func identify(pid int) (Identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Identity{}, err
	}
	boot, err := BootID()
	return Identity{PID: pid, StartTime: stat.startTime, BootID: boot}, err
}

// procStat is the part of /proc/<pid>/stat that is used here.
type procStat struct {
	state      byte // 'Z' for a zombie
	utime      uint64
	stime      uint64 // clock ticks
	startTime  uint64 // clock ticks after boot
	rss        uint64 // pages
	waitStatus syscall.WaitStatus
}

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(raw)
}

// parseStat reads proc_pid_stat(5). Field 2 is the command's name, which may
// hold anything; everything else is counted from its closing bracket.
func parseStat(raw []byte) (procStat, error) {
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("parse proc stat %q: no command", raw)
	}
	fields := strings.Fields(string(raw[end+1:]))
	const first = 3 // the number of fields[0]
	if len(fields) <= 52-first {
		return procStat{}, fmt.Errorf("parse proc stat %q: %d fields", raw, len(fields))
	}
	var errs error
	number := func(field int) uint64 {
		n, err := strconv.ParseUint(fields[field-first], 10, 64)
		if err != nil {
			errs = err
		}
		return n
	}
	st := procStat{
		state:      fields[0][0],
		utime:      number(14),
		stime:      number(15),
		startTime:  number(22),
		rss:        number(24),
		waitStatus: syscall.WaitStatus(number(52)),
	}
	if errs != nil {
		return procStat{}, fmt.Errorf("parse proc stat %q: %w", raw, errs)
	}
	return st, nil
}

// openPIDFD gives a descriptor that the runtime's poller can wait on.
func openPIDFD(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

func pidfdEnded(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// reapGrace is how long a parent that we do not know may take to reap.
const reapGrace = 500 * time.Millisecond

// strangersExit learns how a process ended whose parent is somebody else: from
// its zombie as long as there is one, then from the pidfd (Linux 6.15 and
// later keep the status there).
func strangersExit(id Identity, pidfd *os.File) Exit {
	tick := time.NewTicker(reapGrace / 50)
	defer tick.Stop()
	for deadline := time.Now().Add(reapGrace); time.Now().Before(deadline); <-tick.C {
		if st, err := readStat(id.PID); err == nil && st.startTime == id.StartTime && st.state == 'Z' {
			killRest(id.PID)
			return ExitOf(st.waitStatus)
		}
		if status, ok := pidfdExit(pidfd); ok {
			return ExitOf(status)
		}
	}
	return Exit{Unobserved: true}
}

// The ioctl PIDFD_GET_INFO of linux/pidfd.h, which x/sys does not have yet.
const (
	pidfdGetInfo  = 0xC040FF0B // _IOWR(0xFF, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3
)

type pidfdInfo struct {
	mask     uint64
	cgroupID uint64
	pid      uint32
	tgid     uint32
	ppid     uint32
	creds    [8]uint32
	exitCode int32
}

func pidfdExit(pidfd *os.File) (syscall.WaitStatus, bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	info := pidfdInfo{mask: pidfdInfoExit}
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	}); err != nil || errno != 0 || info.mask&pidfdInfoExit == 0 {
		return 0, false
	}
	return syscall.WaitStatus(info.exitCode), true
}

// Path is where the kernel shows something of the process: "exe", "fd/3".
func (id Identity) Path(name string) string { return fmt.Sprintf("/proc/%d/%s", id.PID, name) }
