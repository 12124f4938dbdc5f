package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// listen opens the address that clients come in at: host:port, or a unix socket.
func listen(ctx context.Context, address string, secured *tls.Config) (net.Listener, error) {
	network := "tcp"
	if path, ok := socketPath(address); ok {
		network, address = "unix", path
		if err := removeStale(ctx, path); err != nil {
			return nil, fmt.Errorf("-serve: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("-serve: %w; it is an address of this machine, as 127.0.0.1:4645, or unix:///path", err)
	}
	if secured != nil {
		listener = tls.NewListener(listener, secured)
	}
	return listener, nil
}

// removeStale removes the socket of a server that was killed, and nothing else.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there, and no socket; remove it, or name another path", path)
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("somebody else answers at %s; end it, or name another path", path), conn.Close())
	}
	return os.Remove(path)
}
