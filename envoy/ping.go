package envoy

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// ready is the question of a Ping: what every Envoy knows at once.
const ready = "GET /ready HTTP/1.1\r\nHost: envoy\r\n\r\n"

// maxPing is more than the whole answer has.
const maxPing = 2 << 10

// answers are where one is read to: a thousand Envoys are asked, not all at once.
var answers = sync.Pool{New: func() any { return new([maxPing]byte) }}

// Ping gets an answer, whichever. The error says why there is none, AdminClosed's
// reason among others. It keeps its connection for the next one, without a goroutine
// as the library's client has for each. Forget lets it go.
func (a *Admin) Ping(ctx context.Context) error {
	select {
	case conn := <-a.kept:
		err := a.ping(ctx, conn)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Envoy has closed it meanwhile, or has another successor.
	default:
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	return a.ping(ctx, conn)
}

// ping takes the first part of an answer for all of it: what is left of one is taken
// for a part of the next, which hides one miss.
func (a *Admin) ping(ctx context.Context, conn net.Conn) (err error) {
	defer func() {
		if err != nil || !a.keep(conn) {
			_ = conn.Close()
		}
	}()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err := io.WriteString(conn, ready); err != nil {
		return err
	}
	answer := answers.Get().(*[maxPing]byte)
	defer answers.Put(answer)
	_, err = conn.Read(answer[:])
	return err
}

// keep tells whether the connection is kept.
func (a *Admin) keep(conn net.Conn) bool {
	select {
	case a.kept <- conn:
		return true
	default:
		return false
	}
}

// Forget closes what Ping has kept.
func (a *Admin) Forget() {
	select {
	case conn := <-a.kept:
		_ = conn.Close()
	default:
	}
}
