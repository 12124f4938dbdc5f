package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Listener is a socket on which a process accepts connections.
type Listener struct {
	Network string // "tcp" or "unix"
	Address string // "host:port", or the path that it was bound to
	File    *os.File
}

// Listeners are those of the process, each socket once, in the order of its descriptors.
// The caller closes them. The error is ErrSockets where the kernel does not let us have
// them.
func (p *Process) Listeners() ([]Listener, error) {
	pidfd, err := unix.PidfdOpen(p.ID.PID, 0)
	if err != nil {
		return nil, fmt.Errorf("look at the sockets of process %d: %w", p.ID.PID, err)
	}
	defer func() { _ = unix.Close(pidfd) }()
	descriptors, err := p.sockets()
	if err != nil {
		return nil, err
	}
	var found []Listener
	for _, d := range descriptors {
		l, ok, err := takeListener(pidfd, d.fd)
		if err != nil {
			closeListeners(found)
			return nil, err
		}
		if ok {
			found = append(found, l)
		}
	}
	return found, nil
}

// ErrSockets is the kernel's refusal.
var ErrSockets = errors.New("the kernel does not let this process have the sockets of another (pidfd_getfd): it needs CAP_SYS_PTRACE, or kernel.yama.ptrace_scope below 2")

// takeListener takes a descriptor that was a socket when it was looked at; ok is
// false for one on which nobody accepts connections.
func takeListener(pidfd, fd int) (l Listener, ok bool, err error) {
	taken, err := unix.PidfdGetfd(pidfd, fd, 0)
	switch {
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.ESRCH): // closed, or gone, meanwhile
		return l, false, nil
	case errors.Is(err, unix.EPERM):
		return l, false, ErrSockets
	case err != nil:
		return l, false, fmt.Errorf("take a socket: %w", err)
	}
	file := os.NewFile(uintptr(taken), "listener")
	if accepts, err := unix.GetsockoptInt(taken, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || accepts == 0 {
		return l, false, file.Close()
	}
	name, err := unix.Getsockname(taken)
	if err != nil {
		return l, false, errors.Join(err, file.Close())
	}
	l = Listener{File: file}
	if l.Network, l.Address = socketAddress(name); l.Network == "" {
		return l, false, file.Close()
	}
	return l, true, nil
}

func socketAddress(name unix.Sockaddr) (network, address string) {
	switch at := name.(type) {
	case *unix.SockaddrInet4:
		return "tcp", netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
	case *unix.SockaddrInet6:
		return "tcp", net.JoinHostPort(netip.AddrFrom16(at.Addr).Unmap().String(), strconv.Itoa(at.Port))
	case *unix.SockaddrUnix:
		return "unix", at.Name
	}
	return "", ""
}

func closeListeners(listeners []Listener) {
	for _, l := range listeners {
		_ = l.File.Close()
	}
}

// socket is a descriptor of a process that is one.
type socket struct {
	fd    int
	inode string
}

// sockets are those of the process, each once.
func (p *Process) sockets() ([]socket, error) {
	dir := p.ID.Path("fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = ErrSockets
		}
		return nil, fmt.Errorf("look at the sockets of process %d: %w", p.ID.PID, err)
	}
	var found []socket
	seen := map[string]bool{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		target, _ := os.Readlink(dir + "/" + e.Name()) // none of one that is closed meanwhile
		inode, ok := strings.CutPrefix(target, "socket:[")
		if inode = strings.TrimSuffix(inode, "]"); ok && !seen[inode] {
			seen[inode] = true
			found = append(found, socket{fd, inode})
		}
	}
	slices.SortFunc(found, func(a, b socket) int { return a.fd - b.fd })
	return found, nil
}

// Held counts the connections that the process itself has open at local addresses,
// where an unspecified one stands for all.
func (p *Process) Held(local []netip.AddrPort) (int, error) {
	own, err := p.sockets()
	if err != nil {
		return 0, err
	}
	inodes := make(map[string]bool, len(own))
	for _, s := range own {
		inodes[s.inode] = true
	}
	held := 0
	err = p.eachConnection(func(at netip.AddrPort, inode string) {
		if inodes[inode] && slices.ContainsFunc(local, func(l netip.AddrPort) bool { return covers(l, at) }) {
			held++
		}
	})
	return held, err
}
