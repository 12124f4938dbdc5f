package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// The intruder is this very binary, which has been taken over: it tries one thing after the
// other, each an argument "what:with", and prints what came of it.
var attempts = map[string]func(with string) error{
	"read": func(path string) error {
		_, err := os.ReadFile(path)
		return err
	},
	"list": func(path string) error {
		_, err := os.ReadDir(path)
		return err
	},
	"write":  func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"remove": os.Remove,
	"mknod":  func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, 1<<8|3) },
	"socket": func(path string) error {
		l, err := net.Listen("unix", path)
		return errors.Join(err, closeIf(l))
	},
	"exec": func(path string) error { // the way of one who does not come back: no fork is in the way
		return unix.Exec(path, []string{path}, nil)
	},
	"listen": func(address string) error {
		l, err := net.Listen("tcp", address)
		return errors.Join(err, closeIf(l))
	},
	"connect": func(address string) error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	},
	"addresses": func(string) error {
		_, err := net.InterfaceAddrs()
		return err
	},
	"family": func(family string) error {
		number, _ := strconv.Atoi(family)
		fd, err := unix.Socket(number, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	},
	"trace": func(pid string) error {
		number, _ := strconv.Atoi(pid)
		return unix.PtraceAttach(number)
	},
	"peek": func(pid string) error { // as readers of memory and environments do
		_, err := os.ReadFile("/proc/" + pid + "/environ")
		return err
	},
	"unshare": func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"namespace": func(string) error {
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0)
		return orNil(errno)
	},
	"clone3": func(string) error {
		var args [11]uint64
		_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), 1, 0)
		return orNil(errno)
	},
	"memfd": func(string) error {
		_, err := unix.MemfdCreate("x", 0)
		return err
	},
	"mount": func(path string) error { return unix.Mount("none", path, "tmpfs", 0, "") },
	"keys":  func(string) error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_USER_KEYRING, true); return err },
	"bpf": func(string) error {
		_, _, errno := unix.Syscall(unix.SYS_BPF, 0, 0, 0)
		return orNil(errno)
	},
	"uring": func(string) error {
		_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
		return orNil(errno)
	},
	"setuid": func(string) error { return unix.Setuid(0) },
}

func closeIf(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func orNil(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func beIntruder() int {
	for _, attempt := range os.Args[1:] {
		what, with, _ := strings.Cut(attempt, ":")
		err := attempts[what](with)
		var errno unix.Errno
		switch {
		case err == nil:
			fmt.Println(attempt, "done")
		case errors.As(err, &errno):
			fmt.Println(attempt, unix.ErrnoName(errno))
		default:
			fmt.Println(attempt, err)
		}
	}
	return 0
}

// intrude lets the intruder try all of it, and gives what came of each attempt.
func intrude(t *testing.T, l Launch, attempts ...string) map[string]string {
	t.Helper()
	l.Path, l.Args, l.Env = intruderPath(t), attempts, []string{role + "=intruder"}
	if l.Dir == nil {
		l.Dir = openDir(t, filepath.Dir(l.Path))
	}
	got, err := Run(t.Context(), l, Limit{Time: time.Minute, Output: 64 << 10})
	must.NoError(t, err)
	must.Eq(t, 0, got.Exit.Code, must.Sprint(string(got.Stderr)))
	results := map[string]string{}
	for line := range strings.Lines(string(got.Stdout)) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		results[line[:at]] = strings.TrimSpace(line[at:])
	}
	return results
}

func openDir(t testing.TB, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

// intruderPath is where every user finds this binary.
func intruderPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(publicDir(t), "intruder")
	self, err := os.Executable()
	must.NoError(t, err)
	if os.Link(self, path) != nil {
		content, err := os.ReadFile(self)
		must.NoError(t, err)
		must.NoError(t, os.WriteFile(path, content, 0o755))
	}
	return path
}

// publicDir is one that every user may search.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		must.NoError(t, os.Chmod(d, 0o755))
	}
	return dir
}
