package envoy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Admin is a client of the admin API. It reaches whoever answers at its address:
// one generation after the other.
type Admin struct {
	at     bootstrap.AdminAddress
	client *http.Client
	dial   func(ctx context.Context) (net.Conn, error)
	kept   chan net.Conn // a connection for the next Ping
}

// NewAdmin makes a client of the admin API at an address, as Envoy sees it: a port in its
// network, or a socket in its working directory.
func NewAdmin(at bootstrap.AdminAddress, run sidecar.Run) *Admin {
	dial := func(ctx context.Context) (net.Conn, error) {
		if at.Network == "unix" {
			return dialSocket(ctx, run, at.Address)
		}
		return dialPort(ctx, run, at)
	}
	return &Admin{at: at, dial: dial, kept: make(chan net.Conn, 1), client: adminClient(dial)}
}

// adminClient is one for whom nobody else answers: Envoy leads nobody elsewhere.
func adminClient(dial func(ctx context.Context) (net.Conn, error)) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableKeepAlives:      true, // the next generation may be there by then
			DisableCompression:     true, // Envoy is on this machine
			MaxResponseHeaderBytes: maxHeaders,
		},
	}
}

// maxHeaders is far more than those of any answer have.
const maxHeaders = 16 << 10

// Address is where the API is asked.
func (a *Admin) Address() bootstrap.AdminAddress { return a.at }

func dialPort(ctx context.Context, run sidecar.Run, at bootstrap.AdminAddress) (conn net.Conn, err error) {
	err = run.Network.Do(func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, at.Network, at.Address)
		return err
	})
	return conn, err
}

// dialSocket reaches a socket through a descriptor of the run directory, since the paths
// of sockets end at 108 bytes, and those of directories do not. What Envoy's user has
// linked there is reached with that user's rights, and only if it is that user's, too.
func dialSocket(ctx context.Context, run sidecar.Run, name string) (conn net.Conn, err error) {
	d, err := run.OpenDir()
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	err = process.AsUser(run.User, func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := isAnsweredBy(conn, run.User); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to Envoy's admin API at %s in %s: %w", name, run.Dir, err), conn.Close())
	}
	return conn, nil
}

// isAnsweredBy says who listens at the other end of a socket when it is not the user.
// The kernel knows it, and no link or name tells otherwise.
func isAnsweredBy(conn net.Conn, user process.User) error {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	err = raw.Control(func(fd uintptr) { peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, peerErr); err != nil {
		return err
	}
	if peer.Uid != user.ID() {
		return fmt.Errorf("user %d listens there (process %d), and not Envoy's user %d: somebody has put another socket in its place; restart the task, and look at who may write there", peer.Uid, peer.Pid, user.ID())
	}
	return nil
}
