package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// stream is a connection that stays open.
type stream struct {
	conn  net.Conn
	lines *bufio.Scanner
}

func openStream(t *testing.T, addr string) *stream {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	must.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s := &stream{conn: conn, lines: bufio.NewScanner(conn)}
	must.NoError(t, s.say("hello"))
	return s
}

// say sends a line, and wants it back.
func (s *stream) say(line string) error {
	if err := s.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.conn, line); err != nil {
		return err
	}
	if !s.lines.Scan() || s.lines.Text() != line {
		return errors.Join(fmt.Errorf("the stream is cut, or answers %q", s.lines.Text()), s.lines.Err())
	}
	return nil
}

// Streams through both sidecars live through one change of the central configuration
// after the other: each Envoy that leaves goes on with those that it has.
func TestStreams(t *testing.T) {
	c := cluster(t)
	s := openStalls(t, c, stall{form: ownTask})
	var streams []*stream
	for range 50 {
		streams = append(streams, openStream(t, s.upstream))
	}
	defer s.setProxyDefaults(t, nil)
	for _, interval := range []string{"7s", "8s", "9s"} {
		since := time.Now()
		s.setProxyDefaults(t, map[string]any{"envoy_stats_flush_interval": interval})
		for _, alloc := range s.allocs(t) {
			s.awaitEvent(t, alloc, since, "(its bootstrap has changed): Envoy")
		}
		for i, stream := range streams {
			must.NoError(t, stream.say(interval), must.Sprintf("stream %d", i))
		}
	}
	for _, alloc := range s.allocs(t) {
		must.Greater(t, 1, len(generations(t, c, alloc)), must.Sprint("one of them leaves still"))
	}
}

// bindStall is the shop with one instance, and a bind address of its author's.
func bindStall(address string) stall {
	return stall{form: ownTask, count: 1, proxy: fmt.Sprintf("config {\n bind_address = %q\n}", address)}
}

// A proxy that is told to listen nowhere in particular drains as any other does: a
// request that is under way when it is stopped gets its answer.
func TestBindAddress_empty(t *testing.T) {
	c := cluster(t)
	s := openStalls(t, c, bindStall(""))
	server := awaitRunning(t, c, "shop", "shop")
	stream, since := openStream(t, s.upstream), time.Now()
	restarted := make(chan error, 1)
	go func() { restarted <- c.Nomad.Client.Allocations().Restart(server, "proxy", nil) }()
	s.awaitEvent(t, server, since, "Draining")
	downFor(t, 2*time.Second) // a request takes its time
	must.NoError(t, stream.say("the answer"))
	must.NoError(t, stream.conn.Close())
	must.NoError(t, <-restarted)
	s.awaitEvent(t, server, since, "Serving")
}

// Peers are told an IPv4 address, and a proxy that listens on IPv6 alone is not there:
// it never counts as ready, and says why.
func TestBindAddress_unreachable(t *testing.T) {
	c := cluster(t)
	bindStall("::").submit(t, c)
	defer tellStory(t, c, "shop")
	m := &mesh{Cluster: c, t: t}
	eventually(t, 45*time.Second, func(ctx context.Context) error {
		return m.saysUnreachable(ctx)
	})
	healthy, err := c.Consul.Healthy(t.Context())
	must.NoError(t, err)
	must.MapEmpty(t, healthy)
}
