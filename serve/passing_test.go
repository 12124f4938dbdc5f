package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// Path, query, headers and body reach Nomad as they were sent.
func TestServe_untouched(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, "{}"))
	s := before(t, n)
	for _, uri := range []string{
		"/v1/job/a%2Fb", "/v1/job/a%2fb/allocations", "/v1/job/..%2F..%2Fetc", "/v1/job/a/../b", "/v1//jobs", "//v1/jobs", "/v1/job/Web.V2~x",
		"/v1/job/%E4%BD%A0?namespace=a%20b&region=EU-west", "/v1/jobs?filter=ID+==+%22x%22;y&&=z&%zz", "/v1/jobs?", "/ui/jobs/a%40default", "/",
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
		must.NoError(t, err)
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: nomad.example:80\r\nX-Nomad-Token: secret\r\nX-Forwarded-For: 192.0.2.1\r\n"+
			"Accept-Encoding: br\r\nX-Odd:  a,  b\r\nX-Odd: c\r\nConnection: close\r\n\r\n", uri)
		must.NoError(t, err)
		_, err = io.ReadAll(conn)
		must.NoError(t, err)
		must.NoError(t, conn.Close())
		got := n.one(t)
		must.Eq(t, uri, got.RequestURI)
		must.Eq(t, "nomad.example:80", got.Host)
		must.Eq(t, http.Header{
			"X-Nomad-Token": {"secret"}, "X-Forwarded-For": {"192.0.2.1"}, "Accept-Encoding": {"br"}, "X-Odd": {"a,  b", "c"},
			"User-Agent": nil,
		}, withNil(got.Header, "User-Agent"))
	}
	body := strings.Repeat("\x00\xff", 1<<16)
	put(t, s.url+"/v1/var/x", body)
	must.Eq(t, body, n.one(t).body)
}

func withNil(h http.Header, name string) http.Header {
	if _, ok := h[name]; !ok {
		h[name] = nil
	}
	return h
}

// Answers come back as they were given: status, headers, redirects, trailers.
func TestServe_answers(t *testing.T) {
	t.Parallel()
	n := newNomad(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/ui/jobs?a=%2F")
		w.Header().Set("X-Nomad-Index", "12")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	response, _ := send(t, request(t, http.MethodGet, before(t, n).url+"/", nil))
	must.Eq(t, http.StatusTemporaryRedirect, response.StatusCode)
	must.Eq(t, "/ui/jobs?a=%2F", response.Header.Get("Location"))
	must.Eq(t, "12", response.Header.Get("X-Nomad-Index"))
	must.Eq(t, "default-src 'none'", response.Header.Get("Content-Security-Policy"))
}

// gated is a Nomad whose stream says its head at once, and a line each time it is let.
func gated(t *testing.T) (n *nomad, next chan string) {
	next = make(chan string)
	n = newNomad(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := http.NewResponseController(w)
		must.NoError(t, out.Flush())
		for {
			select {
			case line := <-next:
				if line == "" {
					return
				}
				_, _ = fmt.Fprintln(w, line)
				_ = out.Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	return n, next
}

// A line of a stream is there when Nomad says it, and a query that waits may wait.
func TestServe_streams(t *testing.T) {
	t.Parallel()
	n, next := gated(t)
	s := before(t, n)
	response, err := client(t).Do(request(t, http.MethodGet, s.url+"/v1/event/stream", nil))
	must.NoError(t, err, must.Sprint("the head comes before the first line"))
	lines := bufio.NewReader(response.Body)
	for _, line := range []string{"{}", `{"Index":7}`} {
		next <- line
		got, err := lines.ReadString('\n')
		must.NoError(t, err)
		must.Eq(t, line+"\n", got)
	}
	next <- ""
	_, err = lines.ReadByte()
	must.ErrorIs(t, err, io.EOF)
	must.NoError(t, response.Body.Close())

	must.Zero(t, s.http.ReadTimeout+s.http.WriteTimeout, must.Sprint("a query may wait for five minutes and a sixteenth"))
	must.Zero(t, s.nomad.transport.ResponseHeaderTimeout)
}

// A client that goes away is gone for Nomad, too.
func TestServe_clientLeaves(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	n := newNomad(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	})
	s := before(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	waiting, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/jobs?index=5&wait=5m", nil)
	must.NoError(t, err)
	go func() {
		response, err := client(t).Do(waiting)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	eventually(t, func() bool { return len(n.got()) > 0 })
	cancel()
	<-left
	must.Error(t, <-failed)
}

// terminal is a Nomad that upgrades and then says back what it hears.
func terminal(t *testing.T) *nomad {
	return newNomad(t, func(w http.ResponseWriter, r *http.Request) {
		must.Eq(t, "websocket", r.Header.Get("Upgrade"))
		conn, buffered, err := http.NewResponseController(w).Hijack()
		must.NoError(t, err)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
		_ = conn.Close()
	})
}

// upgraded is a connection to a terminal through a server.
func upgraded(t *testing.T, s *served) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
	must.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /v1/client/allocation/x/exec?tty=true HTTP/1.1\r\nHost: proxy:1\r\nOrigin: http://proxy:1\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n\r\n")
	must.NoError(t, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	must.NoError(t, err)
	must.Eq(t, http.StatusSwitchingProtocols, response.StatusCode)
	must.Eq(t, "x", response.Header.Get("Sec-WebSocket-Accept"))
	must.NoError(t, response.Body.Close())
	return conn, in
}

func TestServe_terminal(t *testing.T) {
	t.Parallel()
	n := terminal(t)
	s := before(t, n)
	conn, in := upgraded(t, s)
	got := n.one(t)
	must.Eq(t, got.Header.Get("Origin"), "http://"+got.Host, must.Sprint("else Nomad refuses a browser"))
	for _, line := range []string{"ls\n", "\x00\x03\n"} {
		_, err := io.WriteString(conn, line)
		must.NoError(t, err)
		back, err := in.ReadString('\n')
		must.NoError(t, err)
		must.Eq(t, line, back)
	}
	must.NoError(t, conn.Close())
	eventually(t, func() bool { return strings.Contains(s.log.String(), "status=101") })
}

// Without Nomad the answer says so, and with it again everything goes on.
func TestServe_nomadAway(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, "{}"))
	s := before(t, n)
	address := n.Listener.Addr().String()
	put(t, s.url+"/v1/jobs", inside(meshed(t)))
	n.Close()
	response, body := put(t, s.url+"/v1/jobs", inside(meshed(t)))
	must.Eq(t, http.StatusBadGateway, response.StatusCode)
	must.StrContains(t, body, "Nomad at "+n.URL+" does not answer: dial tcp "+address)
	must.StrContains(t, body, "is its agent running, and is -nomad its address?")

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	must.NoError(t, err)
	back := &httptest.Server{Listener: listener, Config: &http.Server{Handler: says(200, "{}")}}
	back.Start()
	t.Cleanup(back.Close)
	response, _ = put(t, s.url+"/v1/jobs", inside(meshed(t)))
	must.Eq(t, 200, response.StatusCode)
}
