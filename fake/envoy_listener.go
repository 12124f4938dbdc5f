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

func listenPublic(behaviour Behaviour, address string) (*publicListener, error) {
	// Generations listen at the same time.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	listener, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	p := &publicListener{Listener: listener, clinging: behaviour == Clinging, told: make(chan struct{})}
	p.tell = sync.OnceFunc(func() { close(p.told) })
	go p.accept()
	return p, nil
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
