package sidecar

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"nomad-driver-connect/process"
)

// address is the IP address that peers are told; not valid where that is not ours to
// say, or not this machine's.
func (s *Sidecar) address() netip.Addr {
	if s.Addresses == nil || s.spec.Run.Network != "" {
		return netip.Addr{}
	}
	at, _ := netip.ParseAddrPort(s.place().Peers.Address)
	return at.Addr()
}

// followAddresses gives news when the addresses of the machine change.
func (s *supervisor) followAddresses() (stop func()) {
	if !s.address().IsValid() {
		return func() {}
	}
	s.addresses, stop = s.Addresses.Follow()
	return stop
}

// lookAtAddress keeps peers away for as long as the machine does not have the address
// that they are told.
func (s *supervisor) lookAtAddress(ctx context.Context) {
	address := s.address()
	has := !address.IsValid() || s.Addresses.Has(address)
	if has == (s.strayed == "") {
		return
	}
	if s.strayed = ""; has {
		s.Emit(fmt.Sprintf("The address %s, which peers are told, is on this machine again", address))
	} else {
		s.strayed = fmt.Sprintf("the address %s, which peers are told, is not on this machine any more", address)
		s.Emit("Peers are kept away: " + s.strayed)
	}
	s.tell(ctx)
}

// awaitAddress waits for an address that the machine does not have yet, as early after
// its start.
func (s *Sidecar) awaitAddress(ctx context.Context, p Port) error {
	address, err := netip.ParseAddr(p.Address)
	if s.Addresses == nil || s.spec.Run.Network != "" || err != nil || s.Addresses.Has(address) {
		return nil
	}
	news, stop := s.Addresses.Follow()
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyTimeout)
	defer cancel()
	sentence := fmt.Sprintf("waits for the address %s of port %s, which this machine does not have yet", address, p)
	s.Emit(fmt.Sprintf("%s %s", s.program.Name(), sentence))
	if _, err := s.member.Tell(ctx, Standing{Why: "the sidecar " + sentence}); err != nil {
		return err
	}
	for !s.Addresses.Has(address) {
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("the address of port %s is not on this machine, %s after the start; has its interface come up?", p, s.spec.ReadyTimeout)
		}
	}
	return nil
}

// connectTimeout is ample for a connection within the machine.
const connectTimeout = time.Second

// unreachable says that peers would find nobody where they are told to come; empty
// when they do.
func (s *Sidecar) unreachable(ctx context.Context) string {
	peers := s.place().Peers
	if peers == (Address{}) || s.connect(ctx, peers) == nil {
		return ""
	}
	elsewhere := ""
	if at := s.publicListeners(ctx); len(at) > 0 && at[0] != peers {
		elsewhere = fmt.Sprintf("; %s listens at %s: which address it takes is bind_address of proxy.config or proxy-defaults", s.program.Name(), at[0].Address)
	}
	return fmt.Sprintf("nobody accepts connections at %s, where peers are told to come%s", peers.Address, elsewhere)
}

// publicListeners are those at the public port, wherever the program has them.
func (s *Sidecar) publicListeners(ctx context.Context) []Address {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Request)
	defer cancel()
	var public []Address
	for _, l := range s.program.Control().Listeners(ctx) {
		if s.isPublic(l) {
			public = append(public, l)
		}
	}
	return public
}

// isPublic tells whether somebody who listens at an address does so for peers.
func (s *Sidecar) isPublic(l Address) bool {
	at, err := netip.ParseAddrPort(l.Address)
	return err == nil && l.Network == "tcp" && int(at.Port()) == s.place().Public.Number
}

// connect tells whether somebody accepts a connection, from where the program is. A
// socket that a job names is reached with the rights of the program's user.
func (s *Sidecar) connect(ctx context.Context, to Address) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dial := func() error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, to.Network, to.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	if to.Network == "unix" {
		return process.AsUser(s.spec.Run.User, dial)
	}
	return s.spec.Run.Network.Do(dial)
}
