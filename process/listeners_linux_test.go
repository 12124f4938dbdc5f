package process

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// beListener listens where workers, peers and neighbours of a proxy connect, prints
// where, and keeps what it accepts until it is killed.
func beListener() int {
	shared := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		return raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	var first string
	for _, at := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"tcp", "again"}, {"tcp", "[::1]:0"}, {"unix", "a.sock"}} {
		if at.address == "again" {
			at.address = first
		}
		l, err := shared.Listen(context.Background(), at.network, at.address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if first == "" {
			first = l.Addr().String()
			_, _ = l.(*net.TCPListener).File() // a duplicate
			_, _ = net.ListenPacket("udp", first)
		}
		fmt.Println(l.Addr())
		go keepAccepting(l)
	}
	fmt.Println()
	select {}
}

func keepAccepting(l net.Listener) {
	var kept []net.Conn
	for {
		conn, err := l.Accept()
		if err != nil {
			runtime.KeepAlive(kept)
			return
		}
		kept = append(kept, conn)
	}
}

// startListener starts this binary as one that listens, and tells where it does.
func startListener(t *testing.T) (*Process, []string) {
	t.Helper()
	self, err := os.Executable()
	must.NoError(t, err)
	dir, err := os.Open(t.TempDir())
	must.NoError(t, err)
	defer func() { _ = dir.Close() }()
	out, in, err := os.Pipe()
	must.NoError(t, err)
	defer func() { _ = out.Close() }()
	p, err := Start(Launch{Path: self, Env: []string{role + "=listener"}, Dir: dir, Files: []*os.File{nil, in, os.Stderr}})
	must.NoError(t, err)
	t.Cleanup(func() { _ = p.KillGroup(); <-p.Done() })
	must.NoError(t, in.Close())
	var addresses []string
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != ""; {
		addresses = append(addresses, lines.Text())
	}
	must.Len(t, 4, addresses)
	return p, addresses
}

// The listening sockets of the process are ours, too: each once, in order. A connection
// that is made when the process is dead waits, and is served by whoever has the socket.
func TestListeners(t *testing.T) {
	t.Parallel()
	p, want := startListener(t)
	listeners, err := p.Listeners()
	must.NoError(t, err)
	t.Cleanup(func() { closeAll(listeners) })
	var got []string
	for _, l := range listeners {
		got = append(got, l.Address)
		must.Eq(t, strings.HasSuffix(l.Address, ".sock"), l.Network == "unix")
		flags := 0
		err := l.File.Use(func(fd int) (err error) {
			flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			return err
		})
		must.NoError(t, err)
		must.Eq(t, unix.FD_CLOEXEC, flags)
	}
	must.Eq(t, want, got)
	must.Eq(t, want[0], want[1])

	must.NoError(t, p.KillGroup())
	<-p.Done()
	conn, err := net.DialTimeout("tcp", want[2], 10*time.Second)
	must.NoError(t, err)
	defer func() { _ = conn.Close() }()
	third := slices.IndexFunc(listeners, func(l Listener) bool { return l.Address == want[2] })
	eventually(t, func() bool {
		return listeners[third].File.Use(func(fd int) error {
			accepted, _, err := unix.Accept(fd)
			if err == nil {
				err = unix.Close(accepted)
			}
			return err
		}) == nil
	})
	closeAll(listeners)
	listeners = nil
	_, err = net.DialTimeout("tcp", want[2], 10*time.Second)
	must.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = p.Listeners()
	must.ErrorIs(t, err, os.ErrProcessDone)
}

// Root may; what stands in the way is said.
func TestCanTakeSockets(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		must.NoError(t, CanTakeSockets())
	}
	must.Eq(t, 1<<unix.CAP_SYS_PTRACE, effective("Name:\tx\nCapEff:\t0000000000080000\nCapBnd:\t000001ffffffffff\n"))
	must.Zero(t, effective("Name:\tx\n"))

	err := onOwnThread(func() error {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
		if err := forbid(unix.SYS_PIDFD_GETFD); err != nil {
			return err
		}
		return CanTakeSockets()
	})
	must.ErrorContains(t, err, "pidfd_getfd fails")
	must.ErrorContains(t, err, "cannot be kept when it crashes")
}

// forbid has the kernel refuse a system call to this thread, as containers do.
func forbid(call uint32) error {
	filter := []unix.SockFilter{
		load(seccompNr), skipUnless(call, 1), answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)), answer(unix.SECCOMP_RET_ALLOW),
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}
