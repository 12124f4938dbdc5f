package sidecar

import (
	"context"
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// checkPortOpen fails when somebody listens on the port who does not share it with the
// program's user. It does not listen itself, as it would be given connections of those
// who do.
func (s *Sidecar) checkPortOpen(_ context.Context, network process.Network, p Port, wayOut string) error {
	at, err := netip.ParseAddrPort(p.HostPort())
	if err != nil {
		return nil //nolint:nilerr // the program will say what is wrong with it
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	bind := func() error { return bindAs(s.spec.Run.User, at) }
	return p.unfit(network.Do(func() error { return process.Unshared(bind) }), wayOut)
}

// bindAs binds a socket as the program's user does who shares the address, and closes it. The
// kernel goes by the owner of a socket.
func bindAs(user process.User, at netip.AddrPort) (err error) {
	family, address := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, address = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if user.Switch {
		if err := unix.Fchown(fd, int(user.UID), int(user.GID)); err != nil {
			return os.NewSyscallError("fchown", err)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, address))
}
