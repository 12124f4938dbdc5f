package envoy

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// someSocket is a server that only one user may connect to.
func someSocket(t *testing.T, path string, uid int) (asked func() int) {
	t.Helper()
	l, err := net.Listen("unix", path)
	must.NoError(t, err)
	must.NoError(t, os.Chmod(path, 0o600))
	must.NoError(t, os.Chown(path, uid, uid))
	requests := make(chan struct{}, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests <- struct{}{} }))
	must.NoError(t, server.Listener.Close())
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return func() int { return len(requests) }
}

// A socket is reached with the rights of Envoy's user, whatever that has put in its
// place: root's sockets are not.
func TestAdmin_rights(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root gives files to others, and CI is to be root")
		}
		t.Skip("only root gives files to others")
	}
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

	must.NoError(t, os.Remove(filepath.Join(dir, "admin.sock")))
	own := someSocket(t, filepath.Join(dir, "admin.sock"), int(user.UID))
	must.NoError(t, admin.Post(t.Context(), "/drain_listeners"))
	must.Eq(t, 1, own())

	must.NoError(t, os.Chown(dir, 70022, 70022))
	must.ErrorContains(t, admin.Post(t.Context(), "/drain_listeners"), "somebody has put another in its place")
	must.Eq(t, 1, own())
}
