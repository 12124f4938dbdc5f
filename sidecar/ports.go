package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// claimPorts proves that nobody else holds a port the proxy will listen on.
func (s *Sidecar) claimPorts(ctx context.Context) error {
	for _, port := range listenPorts(s.spec) {
		if err := checkPortFree(ctx, s.spec.Run.Network, port); err != nil {
			return err
		}
	}
	return nil
}

// publicListener is where Envoy listens for peers.
func publicListener(s Spec) Port {
	public := s.Listener
	if bind, ok := s.Proxy.Config["bind_address"].(string); ok {
		public.Address = bind
	}
	return public
}

// knowsListener is false for gateways, and for proxies that are no sidecars.
func (s *Sidecar) knowsListener() bool { return s.spec.Listener.Number != 0 }

// listenPorts are those that Envoy will listen on.
func listenPorts(s Spec) []Port {
	var ports []Port
	public := publicListener(s)
	if public.Number != 0 { // else it is not known
		ports = append(ports, public)
	}
	for _, path := range s.Proxy.Expose.Paths {
		ports = append(ports, Port{Label: "expose " + path.Path, Address: public.Address, Number: path.ListenerPort})
	}
	for _, u := range s.Proxy.Upstreams {
		if u.LocalBindSocketPath == "" {
			ports = append(ports, Port{
				Label:   "upstream " + u.DestinationName,
				Address: cmp.Or(u.LocalBindAddress, loopback),
				Number:  u.LocalBindPort,
			})
		}
	}
	return ports
}

// checkPortFree fails when somebody listens on the port. Two Envoys of one
// user would share it silently (SO_REUSEPORT) and split its traffic.
func checkPortFree(ctx context.Context, network process.Network, p Port) error {
	err := network.Do(func() error {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", p.HostPort())
		if err != nil {
			return err
		}
		return l.Close()
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("the port %s is already in use by another process; is a proxy of an earlier run still there?", p)
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("the address of port %s does not belong to this machine", p)
	}
	if errors.Is(err, unix.EACCES) {
		return fmt.Errorf("the port %s may not be bound by this user", p)
	}
	return fmt.Errorf("bind the port %s: %w", p, err)
}
