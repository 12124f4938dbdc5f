package fake

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// publicListener is where peers connect to a fake Envoy. It holds their connections
// as its behaviour has it.
type publicListener struct {
	net.Listener

	clinging bool
	open     atomic.Int64  // connections
	told     chan struct{} // closed when connections are to end
	tell     func()
}

// listen takes the listener of the generation before, or makes its own.
func (g *generation) listen(address string) (err error) {
	var listener net.Listener
	if g.epoch > 0 {
		if listener, err = g.inherit(address); err != nil {
			return err
		}
	}
	if listener == nil {
		if listener, err = listenPublic(address); err != nil {
			return err
		}
	}
	g.listener = &publicListener{Listener: listener, clinging: g.behaviour == Clinging, told: make(chan struct{})}
	g.listener.tell = sync.OnceFunc(func() { close(g.listener.told) })
	go g.listener.accept()
	return g.bequeath(context.Background())
}

func listenPublic(address string) (net.Listener, error) {
	// As Envoys do.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	return config.Listen(context.Background(), "tcp", address)
}

func (p *publicListener) accept() {
	for {
		conn, err := p.Accept()
		if err != nil {
			return
		}
		p.open.Add(1)
		go p.hold(conn)
	}
}

// farewell is how long connections are still open when they were told to end.
const farewell = 300 * time.Millisecond

// hold keeps a connection until its peer closes it or it was told to end.
func (p *publicListener) hold(conn net.Conn) {
	defer p.open.Add(-1)
	if !p.clinging {
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-p.told:
				time.AfterFunc(farewell, func() { _ = conn.Close() })
			case <-ended:
			}
		}()
	}
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

// statName is Envoy's name of the listener in its statistics.
func (p *publicListener) statName() string {
	return "listener." + strings.ReplaceAll(p.Addr().String(), ":", "_")
}
