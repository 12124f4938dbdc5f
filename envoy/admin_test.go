package envoy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// someSocket is a server of a user, to which nobody else may connect.
func someSocket(t *testing.T, path string, uid int) (asked func() int) {
	t.Helper()
	requests := make(chan struct{}, 10)
	serve(t, listenAs(t, path, uid), func(http.ResponseWriter, *http.Request) { requests <- struct{}{} })
	must.NoError(t, os.Chmod(path, 0o600))
	return func() int { return len(requests) }
}

func serve(t *testing.T, l net.Listener, handler http.HandlerFunc) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	must.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
}

// listenAs listens as a user, whom the kernel then knows at the other end.
func listenAs(t *testing.T, path string, uid int) net.Listener {
	t.Helper()
	type result struct {
		net.Listener
		error
	}
	done := make(chan result)
	go func() {
		if uid != os.Geteuid() {
			runtime.LockOSThread() // and ends with it
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
				done <- result{error: errno}
				return
			}
		}
		l, err := net.Listen("unix", path)
		done <- result{l, err}
	}()
	r := <-done
	must.NoError(t, r.error)
	return r.Listener
}

// mustBeRoot skips a test that makes files for others.
func mustBeRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root gives files to others, and CI is to be root")
		}
		t.Skip("only root gives files to others")
	}
}

// A socket is reached with the rights of Envoy's user, whatever that has put in its
// place: root's sockets are not.
func TestAdmin_rights(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	user := process.User{Name: "x", UID: 70021, GID: 70021, Switch: true}
	dir := t.TempDir()
	must.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	must.NoError(t, os.Chown(dir, int(user.UID), int(user.GID)))
	admin := NewAdmin(bootstrap.AdminAddress{Network: "unix", Address: "admin.sock"}, sidecar.Run{Root: dir, Dir: dir, User: user})

	docker := filepath.Join(t.TempDir(), "docker.sock")
	must.NoError(t, os.Chmod(filepath.Dir(docker), 0o755))
	must.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(docker)), 0o755))
	roots := someSocket(t, docker, 0)
	must.NoError(t, os.Symlink(docker, filepath.Join(dir, "admin.sock")))
	must.ErrorIs(t, admin.Post(t.Context(), "/drain_listeners"), os.ErrPermission)
	must.ErrorIs(t, admin.Ping(t.Context()), os.ErrPermission)
	must.Eq(t, 0, roots())

	must.NoError(t, os.Chmod(docker, 0o666))
	must.ErrorContains(t, admin.Post(t.Context(), "/drain_listeners"), "user 0 listens there")
	must.ErrorContains(t, admin.Ping(t.Context()), "and not Envoy's user 70021")
	must.Eq(t, 0, roots())

	must.NoError(t, os.Remove(filepath.Join(dir, "admin.sock")))
	own := someSocket(t, filepath.Join(dir, "admin.sock"), int(user.UID))
	must.NoError(t, admin.Post(t.Context(), "/drain_listeners"))
	must.Eq(t, 1, own())

	must.NoError(t, os.Chown(dir, 70022, 70022))
	must.ErrorContains(t, admin.Post(t.Context(), "/drain_listeners"), "somebody has put another in its place")
	must.Eq(t, 1, own())
}

// adminOf is a client of an admin API that a job has put in Envoy's place.
func adminOf(t *testing.T, handler http.HandlerFunc) *Admin {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", socket)
	must.NoError(t, err)
	serve(t, l, handler)
	return adminAt(socket)
}

// endless writes the beginning of an answer, and the rest again and again, for longer
// than anybody reads who knows bounds.
func endless(begin, rest string) (handler http.HandlerFunc, sent *atomic.Int64) {
	sent = &atomic.Int64{}
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, begin)
		for part := strings.Repeat(rest, 1000); sent.Load() < 4*maxDump; {
			n, err := io.WriteString(w, part)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}, sent
}

// An answer without end is read no further than Envoy has to say.
func TestAdmin_endless(t *testing.T) {
	t.Parallel()
	const slack = 2 << 20 // what sockets and the other side hold
	for _, tc := range []struct {
		name, begin, rest string
		most              int64
		ask               func(*Admin) error
	}{
		{"post", "", "x", maxWord, func(a *Admin) error { return a.Post(t.Context(), "/drain_listeners?inboundonly") }},
		{"stats", "", "a: 1\n", maxList, func(a *Admin) error {
			_, err := a.stats(t.Context(), "a")
			return err
		}},
	} {
		handler, sent := endless(tc.begin, tc.rest)
		must.ErrorContains(t, tc.ask(adminOf(t, handler)), "which is more than Envoy says there", must.Sprint(tc.name))
		must.Less(t, tc.most+slack, sent.Load(), must.Sprint(tc.name))
	}

	handler, sent := endless("", "y")
	p, err := adminOf(t, handler).Progress(t.Context())
	must.NoError(t, err)
	must.Eq(t, strings.Repeat("y", 300)+"…", p.State)
	must.Less(t, maxWord+maxList+2*slack, sent.Load())

	handler, _ = endless(`{"version": "a/`, "1")
	must.Eq(t, "unknown", adminOf(t, handler).Version(t.Context()))
	handler, _ = endless(`{"listener_statuses": [{}`, ",{}")
	must.Nil(t, adminOf(t, handler).Listeners(t.Context()))
	handler, _ = endless(`{"configs":[{"dynamic_listeners":[{"name":"db","warming_state":{}}`, `,{"other":"`+strings.Repeat("a", 9000)+`"}`)
	must.Eq(t, "db", adminOf(t, handler).Warming(t.Context()))
	handler, sent = endless(`{"cluster_statuses": [{}`, ",{}")
	must.Nil(t, adminOf(t, handler).Hosts(t.Context()))
	must.Less(t, maxDump+slack, sent.Load())
}

// What was said before an answer became too much counts. What is not asked for is not
// kept.
func TestAdmin_endlessDump(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{`,{"error_state":{"details":"again"}}`, `,{}`, `,{"name":"` + strings.Repeat("a", 9000) + `"}`} {
		handler, _ := endless(`{"configs":[{"other":[{"a":[1,{}]}],"dynamic_listeners":[{"name":"db","warming_state":{},"error_state":{"details":"no port"}}`, rest)
		admin := adminOf(t, handler)
		refusals := admin.Refusals(t.Context())
		must.Eq(t, "no port", refusals[:7])
		must.LessEq(t, 303, len(refusals))
	}
}

// Envoy leads nobody elsewhere, and nor does whoever answers in its place.
func TestAdmin_redirect(t *testing.T) {
	t.Parallel()
	requests := atomic.Int64{}
	admin := adminOf(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		http.Redirect(w, r, "/quitquitquit", http.StatusTemporaryRedirect)
	})
	must.ErrorContains(t, admin.Post(t.Context(), "/drain_listeners"), "Envoy answers 307")
	must.Eq(t, 1, requests.Load())
}
