package sidecar

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// The socket of a local service is reached with the rights of the proxy's user: root's
// sockets are not.
func TestSidecar_connect_rights(t *testing.T) {
	t.Parallel()
	r := someRun(t)
	for dir := r.Root; dir != os.TempDir(); dir = filepath.Dir(dir) {
		must.NoError(t, os.Chmod(dir, 0o755))
	}
	path := filepath.Join(r.Root, "app.sock")
	l, err := net.Listen("unix", path)
	must.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	must.NoError(t, os.Chmod(path, 0o600))
	s := &Sidecar{spec: Spec{Run: r}}
	app := Address{Network: "unix", Address: path}
	must.ErrorIs(t, s.connect(t.Context(), app), os.ErrPermission)
	must.NoError(t, os.Chown(path, int(r.User.UID), int(r.User.GID)))
	must.NoError(t, s.connect(t.Context(), app))
}
