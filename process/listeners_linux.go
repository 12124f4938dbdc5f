package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Listener is a socket on which a process accepts connections.
type Listener struct {
	Network string // "tcp" or "unix"
	Address string // "host:port", or the path that it was bound to
	File    *Socket
}

// Socket is a descriptor of ours for a socket of another process. It is no os.File:
// the runtime would poll it, and so wake us at each connection that the other gets.
// Any number may use it while somebody closes it.
type Socket struct {
	mu sync.Mutex
	fd int // -1 when it is closed
}

// NewSocket takes a descriptor over.
func NewSocket(fd int) *Socket { return &Socket{fd: fd} }

// Use gives the descriptor, which holds until f returns. The error is os.ErrClosed for a
// socket that was given up, else that of f.
func (s *Socket) Use(f func(fd int) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return os.ErrClosed
	}
	return f(s.fd)
}

// Close gives the socket up. The other process keeps its own descriptor.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return nil
	}
	fd := s.fd
	s.fd = -1
	return unix.Close(fd)
}

// Listeners are those of the process, in the order in which it opened them: several
// may have one address, as those of workers that share a port. The caller closes them.
// A connection that nobody accepts waits for as long as somebody has its listener open.
func (p *Process) Listeners() ([]Listener, error) {
	open, err := p.sockets()
	if err != nil {
		return nil, err
	}
	var listeners []Listener
	known := map[uint64]bool{}
	for _, socket := range open {
		if known[socket.inode] {
			continue // a duplicate: the connections wait in one queue
		}
		known[socket.inode] = true
		listener, ok, err := p.listener(socket.fd)
		if err != nil {
			closeAll(listeners)
			return nil, err
		}
		if ok {
			listeners = append(listeners, listener)
		}
	}
	return listeners, nil
}

func closeAll(listeners []Listener) {
	for _, l := range listeners {
		_ = l.File.Close()
	}
}

// listener takes a socket of the process, and keeps it when it is a listener.
func (p *Process) listener(fd int) (Listener, bool, error) {
	own, err := p.takeFD(fd)
	if errors.Is(err, unix.EBADF) {
		return Listener{}, false, nil // it has closed it meanwhile
	}
	if err != nil {
		return Listener{}, false, fmt.Errorf("take socket %d of process %d: %w", fd, p.ID.PID, hintTake(err))
	}
	network, address := listenerAddress(own)
	if network == "" {
		return Listener{}, false, unix.Close(own)
	}
	return Listener{Network: network, Address: address, File: NewSocket(own)}, true, nil
}

// takeFD duplicates a descriptor of the process, of no successor of its pid.
func (p *Process) takeFD(fd int) (own int, err error) {
	raw, err := p.rawPIDFD()
	if err != nil {
		return -1, err
	}
	if ctlErr := raw.Control(func(pidfd uintptr) { own, err = unix.PidfdGetfd(int(pidfd), fd, 0) }); ctlErr != nil {
		return -1, errGone
	}
	if errors.Is(err, unix.ESRCH) {
		return -1, errGone
	}
	return own, err
}

// listenerAddress is where a socket accepts connections; empty for one that does not,
// or that no other machine or process is told the address of.
func listenerAddress(fd int) (network, address string) {
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return "", ""
	}
	local, err := unix.Getsockname(fd)
	if err != nil {
		return "", ""
	}
	switch local := local.(type) {
	case *unix.SockaddrInet4:
		return "tcp", netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port)).String()
	case *unix.SockaddrInet6:
		return "tcp", netip.AddrPortFrom(netip.AddrFrom16(local.Addr).Unmap(), uint16(local.Port)).String()
	case *unix.SockaddrUnix:
		return "unix", local.Name
	}
	return "", ""
}

// hintTake adds to the error of a take what to do about it.
func hintTake(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOSYS) {
		if why := CanTakeSockets(); why != nil {
			return fmt.Errorf("%w: %w", err, why)
		}
		return fmt.Errorf("%w; a security module or a seccomp filter forbids it", err)
	}
	return err
}
