package fake

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// connections counts those of clients, as Consul does for http_max_conns_per_client.
// The zero value has no limit.
type connections struct {
	mu      sync.Mutex
	limit   int // 0 for none
	open    map[net.Conn]bool
	most    int
	refused int
}

// overLimit is the key of what is known of a request's connection.
type overLimit struct{}

// watch counts the connections of a server that was not started yet.
func (c *connections) watch(server *http.Server) {
	c.open = map[net.Conn]bool{}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, overLimit{}, !c.begin(conn))
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			c.end(conn)
		}
	}
}

// begin tells whether one more connection is allowed.
func (c *connections) begin(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit > 0 && len(c.open) >= c.limit {
		c.refused++
		return false
	}
	c.open[conn] = true
	c.most = max(c.most, len(c.open))
	return true
}

func (c *connections) end(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// admit answers on connections that are too many, and closes them.
func (c *Consul) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if over, _ := r.Context().Value(overLimit{}).(bool); over {
			w.Header().Set("Connection", "close")
			http.Error(w, "too many concurrent connections", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// LimitConnections refuses what comes on connections while n others are open; 0 is
// no limit. (Consul's own limit is 200 for each address of a client.)
func (c *Consul) LimitConnections(n int) {
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	c.connections.limit = n
}

// MaxConnections is how many connections were open at a time, at most.
func (c *Consul) MaxConnections() int {
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	return c.connections.most
}

// RefusedConnections counts those that were one too many.
func (c *Consul) RefusedConnections() int {
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	return c.connections.refused
}
