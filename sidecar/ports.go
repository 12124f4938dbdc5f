package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// claimPorts proves that nobody else holds a port the proxy will listen on.
func (s *Sidecar) claimPorts(ctx context.Context) error {
	for _, port := range s.place().Ports {
		if err := s.awaitAddress(ctx, port); err != nil {
			return err
		}
		if err := CheckPortFree(ctx, s.spec.Run.Network, port, "is a proxy of an earlier run still there?"); err != nil {
			return err
		}
	}
	return nil
}

// ErrPortInUse is what is wrong with a port that somebody listens on, as a clause.
var ErrPortInUse = errors.New("is already in use by another process")

// CheckPortFree fails when somebody listens on the port, and then says what to do. Two
// programs of one user would share it silently (SO_REUSEPORT) and split its traffic.
func CheckPortFree(ctx context.Context, network process.Network, p Port, wayOut string) error {
	listen := func() error {
		var config net.ListenConfig
		l, err := config.Listen(ctx, p.family(), p.HostPort())
		if err != nil {
			return err
		}
		return l.Close()
	}
	return p.unfit(network.Do(func() error { return process.Unshared(listen) }), wayOut)
}

// unfit says why the port cannot be had; nil when it can.
func (p Port) unfit(err error, wayOut string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("the port %s %w; %s", p, ErrPortInUse, wayOut)
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("the address of port %s does not belong to this machine", p)
	}
	if errors.Is(err, unix.EACCES) {
		return fmt.Errorf("the port %s may not be bound by this user", p)
	}
	return fmt.Errorf("bind the port %s: %w", p, err)
}

// family is the kind of address: of one that stands for all, Go would take both kinds.
func (p Port) family() string {
	switch address, err := netip.ParseAddr(p.Address); {
	case err != nil:
		return "tcp"
	case address.Unmap().Is4():
		return "tcp4"
	}
	return "tcp6"
}
