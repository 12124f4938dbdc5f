package sidecar_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// listenFor is a program of a user, which shares its port with others of the same.
func listenFor(t *testing.T, address string, port int, user process.User) netip.AddrPort {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		controlErr := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			if user.Switch {
				err = errors.Join(err, unix.Fchown(int(fd), int(user.UID), int(user.GID)))
			}
		})
		return errors.Join(err, controlErr)
	}}
	config.SetMultipathTCP(false) // the owner of such a socket is not that of what listens
	l, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	must.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// Programs of one user share a port when they both want to, and of two users never.
func TestBindAs(t *testing.T) {
	t.Parallel()
	alone, err := net.Listen("tcp", ownAddress()+":0")
	must.NoError(t, err)
	defer func() { _ = alone.Close() }()
	must.ErrorIs(t, sidecar.BindAs(process.User{}, netip.MustParseAddrPort(alone.Addr().String())), unix.EADDRINUSE)

	must.NoError(t, sidecar.BindAs(process.User{}, listenFor(t, ownAddress(), 0, process.User{})))
	must.NoError(t, sidecar.BindAs(process.User{}, listenFor(t, "::1", 0, process.User{})))
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	somebody := process.User{Name: "somebody", UID: 81013, GID: 81013, Switch: true}
	shared := listenFor(t, ownAddress(), 0, somebody)
	must.NoError(t, sidecar.BindAs(somebody, shared))
	must.ErrorIs(t, sidecar.BindAs(process.User{}, shared), unix.EADDRINUSE)
	another := process.User{Name: "another", UID: 81014, GID: 81014, Switch: true}
	must.ErrorIs(t, sidecar.BindAs(another, shared), unix.EADDRINUSE)
}
