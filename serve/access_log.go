package serve

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
)

// note is what is known of a request besides its answer.
type note struct {
	job      string // what became of the job in it; empty when it has none
	reason   string // why it was not rewritten, or why Nomad has not answered
	warnings []string
}

type noteKey struct{}

// noteOf is the note of a request; one of its own for what has none.
func noteOf(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// accessLog writes a line for every request when it has ended: that of a terminal
// or a stream, too. It has the path alone, and neither query nor header.
func accessLog(log hclog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		n, c := &note{}, &counter{ResponseWriter: w}
		defer func() {
			args := []any{"method", r.Method, "path", r.URL.EscapedPath(), "status", c.status, "bytes", c.bytes,
				"duration", time.Since(start).Round(time.Microsecond), "client", r.RemoteAddr}
			if n.job != "" {
				args = append(args, "job", n.job, "warnings", len(n.warnings))
			}
			if n.reason != "" {
				args = append(args, "reason", oneLine(n.reason))
			}
			log.Info("request", args...)
		}()
		next.ServeHTTP(c, r.WithContext(context.WithValue(r.Context(), noteKey{}, n)))
	})
}

// counter counts what is answered.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (c *counter) WriteHeader(status int) {
	if c.status < http.StatusOK { // 100 and 103 go before another
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c *counter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets an http.ResponseController flush and hijack.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Hijack implements http.Hijacker. What a terminal says from here on is not counted.
func (c *counter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c.status = http.StatusSwitchingProtocols
	return http.NewResponseController(c.ResponseWriter).Hijack()
}
