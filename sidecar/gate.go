package sidecar

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"nomad-driver-connect/process"
)

// localServiceAnswers says whether the app accepts a connection. Without a
// parent there is no app to wait for.
func (s *Sidecar) localServiceAnswers(ctx context.Context) bool {
	if s.parent == nil {
		return true
	}
	network, address := s.localService()
	return s.spec.Run.Network.Do(func() error {
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}) == nil
}

// localService is where the app accepts connections. A relative socket's path
// is relative to Envoy's directory.
func (s *Sidecar) localService() (network, address string) {
	proxy := registration(s.spec, s.parent, process.Identity{}, true).Proxy
	if path := proxy.LocalServiceSocketPath; filepath.IsAbs(path) {
		return "unix", path
	} else if path != "" {
		return "unix", s.current().procPath("cwd/" + path)
	}
	return "tcp", net.JoinHostPort(proxy.LocalServiceAddress, strconv.Itoa(proxy.LocalServicePort))
}

// tryGate opens the gate, or tells once why it could not.
func (s *Sidecar) tryGate(ctx context.Context, tried bool) (open bool) {
	err := s.openGate(ctx)
	if err != nil && !tried {
		s.emit("Could not open the sidecar to its peers, will try again: " + err.Error())
	}
	return err == nil
}

// openGate lets peers in.
func (s *Sidecar) openGate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if err := s.registrar.tell(ctx, s.current().proc.ID, true); err != nil {
		return err
	}
	if err := s.registrar.sayReady(ctx); err != nil {
		return err
	}
	s.publish(Serving, process.Exit{})
	switch {
	case s.attached:
		s.emit(fmt.Sprintf("Found Envoy again (pid %d), serving", s.current().proc.ID.PID))
	case s.parent != nil:
		_, address := s.localService()
		s.emit("Serving: the local service accepts connections at " + address)
	}
	return nil
}

func (s *Sidecar) stayReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if err := s.registrar.sayReady(ctx); err != nil { // there are some more within the TTL
		s.log.Warn("could not tell Consul that the sidecar is still ready", "proxy", s.proxyID(), "error", err)
	}
}
