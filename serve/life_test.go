package serve

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"
)

// What is under way at the end ends by itself, and nobody else comes in.
func TestServe_drains(t *testing.T) {
	t.Parallel()
	n, next := gated(t)
	s := start(t, Config{Nomad: n.URL, Drain: time.Minute})
	response, err := client(t).Do(request(t, http.MethodGet, s.url+"/v1/client/fs/logs/x", nil))
	must.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- s.end() }()
	eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	next <- "last words"
	next <- ""
	body, err := io.ReadAll(response.Body)
	must.NoError(t, err)
	must.Eq(t, "last words\n", string(body))
	must.NoError(t, response.Body.Close())
	must.NoError(t, <-ended)
}

// A job that waits for its turn is given up when its client is, and when the server
// ends: Nomad does not see it, and a client that is still there hears why.
func TestProxy_turn(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	nomad, err := newUpstream(n.URL, nil)
	must.NoError(t, err)
	p := newProxy(nomad, Config{Log: hclog.NewNullLogger()})
	for range cap(p.turns) {
		p.turns <- struct{}{}
	}
	for cause, want := range map[error]string{errEnding: "the server before Nomad ends", nil: ""} {
		r := request(t, http.MethodPut, n.URL+"/v1/jobs", strings.NewReader(inside(meshed(t))))
		ctx, cut := context.WithCancelCause(r.Context())
		answer := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			p.ServeHTTP(answer, r.WithContext(ctx))
		}()
		cut(cause)
		<-ended
		must.StrContains(t, answer.Body.String(), want)
		must.SliceEmpty(t, n.got())
	}
}

// What does not end in time is cut off: streams, terminals, and queries that wait.
func TestServe_cutsOff(t *testing.T) {
	t.Parallel()
	n := terminal(t)
	s := start(t, Config{Nomad: n.URL, Drain: 20 * time.Millisecond})
	_, in := upgraded(t, s)
	must.NoError(t, s.end())
	_, err := in.ReadByte()
	must.Error(t, err)

	slow, _ := gated(t)
	s = start(t, Config{Nomad: slow.URL, Drain: 20 * time.Millisecond})
	response, err := client(t).Do(request(t, http.MethodGet, s.url+"/v1/event/stream", nil))
	must.NoError(t, err)
	must.NoError(t, s.end())
	_, err = io.ReadAll(response.Body)
	must.Error(t, err)
	must.NoError(t, response.Body.Close())
	must.StrContains(t, s.log.String(), "requests have not ended in time, and are cut off")
}

// A line for every request has neither query nor header, where tokens are.
func TestServe_accessLog(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	r := request(t, http.MethodPost, s.url+"/v1/job/a%2Fb?token=hidden-1&ott=hidden-2", strings.NewReader(inside(meshed(t))))
	r.Header.Set("X-Nomad-Token", "hidden-3")
	r.Header.Set("Authorization", "Bearer hidden-4")
	send(t, r)
	eventually(t, func() bool {
		return strings.Contains(s.log.String(), `request: method=POST path="/v1/job/a%2Fb" status=200`)
	})
	must.StrContains(t, s.log.String(), "job=rewritten warnings=1")
	n.Close()
	put(t, s.url+"/v1/jobs?token=hidden-5", inside(meshed(t)))
	eventually(t, func() bool { return strings.Contains(s.log.String(), "status=502") })
	must.StrNotContains(t, s.log.String(), "hidden")
	for line := range strings.Lines(s.log.String()) {
		must.StrContains(t, line, "[INFO]", must.Sprint("one line a request"))
	}
}

func TestServe_health(t *testing.T) {
	t.Parallel()
	status := 200
	n := newNomad(t, func(w http.ResponseWriter, r *http.Request) {
		says(status, `{"server":{"ok":false,"message":"No cluster leader"}}`)(w, r)
	})
	s := before(t, n)
	response, body := send(t, request(t, http.MethodGet, s.url+HealthPath, nil))
	must.Eq(t, 200, response.StatusCode)
	must.Eq(t, "ok\n", body)
	must.Eq(t, "/v1/agent/health", n.one(t).URL.Path)
	status = 500
	response, body = send(t, request(t, http.MethodGet, s.url+HealthPath, nil))
	must.Eq(t, 503, response.StatusCode)
	must.StrContains(t, body, "is not well (500 Internal Server Error): {\"server\"")
	n.Close()
	response, body = send(t, request(t, http.MethodGet, s.url+HealthPath, nil))
	must.Eq(t, 503, response.StatusCode)
	must.StrContains(t, body, "does not answer")
}

// Both ends may be unix sockets.
func TestServe_unix(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "nomad.sock"))
	must.NoError(t, err)
	n := &nomad{}
	server := &http.Server{Handler: n.noting(says(200, planned))}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })

	stale := filepath.Join(dir, "hook.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	must.NoError(t, err)
	left.SetUnlinkOnClose(false)
	must.NoError(t, left.Close())

	s := start(t, Config{Address: "unix://" + stale, Nomad: "unix://" + filepath.Join(dir, "nomad.sock")})
	through := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", stale)
	}}}
	t.Cleanup(through.CloseIdleConnections)
	_, body := sendBy(t, through, request(t, http.MethodPut, "http://x/v1/jobs", strings.NewReader(inside(meshed(t)))))
	must.StrContains(t, body, "1 warning:")
	isRewritten(t, n.one(t).body)

	_, err = New(t.Context(), Config{Address: stale, Nomad: "127.0.0.1:1", Log: s.config.Log})
	must.ErrorContains(t, err, "somebody else answers at "+stale)
	must.NoError(t, s.end())
	_, err = os.Stat(stale)
	must.ErrorIs(t, err, os.ErrNotExist)
}

func TestNew_mistakes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must.NoError(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	for _, tc := range []struct {
		config Config
		want   string
	}{
		{Config{Nomad: "ftp://x"}, `-nomad: "ftp://x" is where Nomad's HTTP API is`},
		{Config{Nomad: "http://"}, `-nomad: "http://"`},
		{Config{Nomad: "http://x/nomad"}, "it is an address and no more"},
		{Config{Nomad: "http://me:secret@x/"}, `-nomad: "http://me:xxxxx@x/" is where`},
		{Config{Nomad: "http://x", Address: "nowhere"}, "-serve: listen tcp: address nowhere: missing port in address; it is an address of this machine"},
		{Config{Nomad: "http://x", Address: file}, file + " is there, and no socket"},
		{Config{Nomad: "http://x", TLS: TLS{CertFile: file}}, "-tls-cert and -tls-key belong together"},
		{Config{Nomad: "http://x", TLS: TLS{ClientCAFile: file}}, "-tls-client-ca wants both"},
		{Config{Nomad: "http://x", TLS: TLS{CertFile: file, KeyFile: file}}, "read the certificate for clients (-tls-cert, -tls-key)"},
	} {
		_, err := New(t.Context(), tc.config)
		must.ErrorContains(t, err, tc.want)
	}
}
