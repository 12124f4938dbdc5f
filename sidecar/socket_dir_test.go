package sidecar_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Whom the tests are about: the proxy's user, the app's with its group, and anybody.
var (
	proxyUser = process.User{Name: "nomad-81001", UID: 81001, GID: 81001, Switch: true}
	appUser   = process.User{Name: "app", UID: 82001, GID: 82000, Switch: true}
	anybody   = process.User{Name: "anybody", UID: 83001, GID: 83001, Switch: true}
)

// allocation is a directory that every user reaches, with Nomad's own in it.
func allocation(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has several users")
	}
	root := t.TempDir()
	must.NoError(t, os.Chmod(filepath.Dir(root), 0o755))
	must.NoError(t, os.Chmod(root, 0o755))
	tmp := filepath.Join(root, "alloc", "tmp")
	must.NoError(t, os.MkdirAll(tmp, 0o755))
	must.NoError(t, os.Chmod(tmp, 0o777)) // whatever the umask is
	return root
}

// listenAs makes a socket with a user's rights, whose mode is set after, as Envoy does it.
func listenAs(t *testing.T, user process.User, path string, mode fs.FileMode) {
	t.Helper()
	var listener net.Listener
	must.NoError(t, process.AsUser(user, func() (err error) {
		if listener, err = net.Listen("unix", path); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}), must.Sprint(user.Name))
	t.Cleanup(func() { _ = listener.Close() })
}

// mayConnect tells who of the three is let in.
func mayConnect(ctx context.Context, path string) (may []string) {
	for _, user := range []process.User{proxyUser, appUser, anybody} {
		if (sidecar.Run{User: user}).Connect(ctx, sidecar.Address{Network: "unix", Address: path}) == nil {
			may = append(may, user.Name)
		}
	}
	return may
}

// The proxy's socket has the group without the proxy being of it, and nobody else gets in,
// whatever the mode of the socket.
func TestSocketDir_upstream(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o660, 0o666} {
		root := allocation(t)
		dir := sidecar.SocketDir{Path: filepath.Join(root, "alloc/tmp/mesh"), Group: appUser.GID, GroupName: "app"}
		must.NoError(t, dir.Make(root, proxyUser))
		socket := filepath.Join(dir.Path, "db.sock")
		listenAs(t, proxyUser, socket, mode)
		must.Eq(t, []string{proxyUser.Name, appUser.Name}, mayConnect(t.Context(), socket), must.Sprint(mode))
		must.ErrorIs(t, process.AsUser(appUser, func() error { return os.Remove(socket) }), fs.ErrPermission)
		must.NoError(t, dir.Make(root, proxyUser), must.Sprint("the task is started again"))
		must.NoError(t, dir.Make(root, process.User{Name: "nomad-81002", UID: 81002, GID: 81002, Switch: true}), must.Sprint("as another user"))
	}
}

// The app's socket is the proxy's to connect to when the app makes it for everybody: the
// directory lets nobody else pass.
func TestSocketDir_localService(t *testing.T) {
	t.Parallel()
	root := allocation(t)
	dir := sidecar.SocketDir{Path: filepath.Join(root, "alloc/tmp/app"), Group: appUser.GID, GroupName: "app", Filled: true}
	must.NoError(t, dir.Make(root, proxyUser))
	socket := filepath.Join(dir.Path, "web.sock")
	listenAs(t, appUser, socket, 0o666)
	must.Eq(t, []string{proxyUser.Name, appUser.Name}, mayConnect(t.Context(), socket))
	must.NoError(t, os.Chmod(socket, 0o660))
	must.Eq(t, []string{appUser.Name}, mayConnect(t.Context(), socket))
}

// Whoever makes files in the directory does not become of the group: the kernel takes the
// bit from a program that is made there.
func TestSocketDir_noRights(t *testing.T) {
	t.Parallel()
	root := allocation(t)
	dir := sidecar.SocketDir{Path: filepath.Join(root, "alloc/tmp/mesh"), Group: appUser.GID, GroupName: "app"}
	must.NoError(t, dir.Make(root, proxyUser))
	program := filepath.Join(dir.Path, "program")
	must.NoError(t, process.AsUser(proxyUser, func() error {
		if err := os.WriteFile(program, nil, 0o755); err != nil {
			return err
		}
		return os.Chmod(program, 0o755|fs.ModeSetgid)
	}))
	info, err := os.Stat(program)
	must.NoError(t, err)
	must.Eq(t, appUser.GID, info.Sys().(*syscall.Stat_t).Gid)
	must.Eq(t, 0, info.Mode()&fs.ModeSetgid)
}

// A directory that is there belongs to somebody, and is left as it is.
func TestSocketDir_taken(t *testing.T) {
	t.Parallel()
	root := allocation(t)
	outside := t.TempDir()
	must.NoError(t, os.Symlink(outside, filepath.Join(root, "alloc/tmp/link")))
	must.NoError(t, os.Mkdir(filepath.Join(root, "alloc/tmp/other"), 0o777))
	must.NoError(t, os.WriteFile(filepath.Join(root, "alloc/tmp/file"), nil, 0o666))
	for path, want := range map[string]string{
		"alloc/tmp":        "is there already",
		"alloc/tmp/other":  "is there already",
		"alloc/tmp/file":   "is no directory",
		"alloc/tmp/link":   "is no directory",
		"alloc/tmp/link/x": "escapes from parent",
		"alloc/none/x":     "there is no",
		"../x":             "escapes from parent",
	} {
		dir := sidecar.SocketDir{Field: "local_bind_socket_path", Path: filepath.Join(root, path), Group: appUser.GID, GroupName: "app"}
		must.ErrorContains(t, dir.Make(root, proxyUser), want, must.Sprint(path))
	}
	for _, dir := range []string{outside, filepath.Join(root, "alloc/tmp")} {
		info, err := os.Stat(dir)
		must.NoError(t, err)
		must.Eq(t, 0, info.Sys().(*syscall.Stat_t).Uid)
		must.Eq(t, 0, info.Mode()&fs.ModeSetgid)
	}
}

// One that another has made to look like ours is refused when there is more in it than an
// earlier run, as another user, would have left.
func TestSocketDir_imitated(t *testing.T) {
	t.Parallel()
	root := allocation(t)
	dir := sidecar.SocketDir{Field: "local_bind_socket_path", Path: filepath.Join(root, "alloc/tmp/mesh"), Group: appUser.GID, GroupName: "app"}
	must.NoError(t, process.AsUser(appUser, func() error { return os.Mkdir(dir.Path, 0o750) }))
	must.NoError(t, os.Chmod(dir.Path, fs.ModeSetgid|0o750))
	listenAs(t, appUser, filepath.Join(dir.Path, "db.sock"), 0o660)
	must.NoError(t, dir.Make(root, appUser), must.Sprint("sockets only"))
	must.NoError(t, os.Mkdir(filepath.Join(dir.Path, "other.sock"), 0o700))
	must.ErrorContains(t, dir.Make(root, proxyUser), "is there already, user 82001 has it, and there is more than sockets in it")
	must.NoError(t, os.Remove(filepath.Join(dir.Path, "other.sock")))
	must.NoError(t, dir.Make(root, proxyUser))
}
