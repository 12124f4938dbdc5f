package sidecar

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// someRun is a run below an allocation that others write to, as a user of its own.
func someRun(t *testing.T) Run {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root gives files to others, and CI is to be root")
		}
		t.Skip("only root gives files to others")
	}
	root := t.TempDir()
	secrets := filepath.Join(root, "proxy", "secrets")
	must.NoError(t, os.MkdirAll(secrets, 0o777))
	return Run{Root: root, Dir: filepath.Join(secrets, "connect"), User: process.User{Name: "x", UID: 70011, GID: 70012, Switch: true}}
}

// made makes a directory of a user's, with a file in it.
func made(t *testing.T, dir string, uid int) string {
	t.Helper()
	must.NoError(t, os.MkdirAll(dir, 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	must.NoError(t, os.Chown(dir, uid, uid))
	return dir
}

// The directory is the user's and closed to others; what was there before is gone.
func TestRun_makeDir(t *testing.T) {
	t.Parallel()
	r := someRun(t)
	outside := made(t, t.TempDir(), 0)
	must.NoError(t, os.Symlink(outside, r.Dir))
	for range 2 {
		must.NoError(t, r.makeDir())
		info, err := os.Lstat(r.Dir)
		must.NoError(t, err)
		must.Eq(t, os.ModeDir|0o700, info.Mode())
		stat := info.Sys().(*syscall.Stat_t)
		must.Eq(t, [2]uint32{70011, 70012}, [2]uint32{stat.Uid, stat.Gid})
		must.FileNotExists(t, filepath.Join(r.Dir, "file"))
		made(t, filepath.Join(r.Dir, "sub"), 70011)
	}
	must.FileExists(t, filepath.Join(outside, "file"))
	d, err := r.OpenDir()
	must.NoError(t, err)
	must.NoError(t, d.Close())
	must.NoError(t, r.Link("/nowhere", "link"))
	target, err := os.Readlink(filepath.Join(r.Dir, "link"))
	must.NoError(t, err)
	must.Eq(t, "/nowhere", target)

	for range 2 {
		must.NoError(t, r.RemoveDir())
		must.DirNotExists(t, r.Dir)
	}
	must.NoError(t, os.RemoveAll(r.Root))
	must.NoError(t, r.RemoveDir(), must.Sprint("all of the allocation is gone"))
	must.Error(t, r.makeDir())
}

// The user does not get a directory that somebody put in place of the new one.
func TestRun_give_another(t *testing.T) {
	t.Parallel()
	for name, uid := range map[string]int{"a neighbour's": 70013, "one with something in it": 0} {
		r := someRun(t)
		made(t, r.Dir, uid)
		around, err := r.around()
		must.NoError(t, err)
		must.ErrorContains(t, r.give(around, "connect"), "somebody has put another directory", must.Sprint(name))
		must.NoError(t, around.Close())
		info, err := os.Lstat(r.Dir)
		must.NoError(t, err)
		must.Eq(t, uint32(uid), info.Sys().(*syscall.Stat_t).Uid)
		must.FileExists(t, filepath.Join(r.Dir, "file"))
	}
}

// Nobody is led elsewhere by what others have put in the place of the directory.
func TestRun_OpenDir_another(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(r Run){
		"a neighbour's":   func(r Run) { made(t, r.Dir, 70013) },
		"root's":          func(r Run) { made(t, r.Dir, 0) },
		"a link":          func(r Run) { must.NoError(t, os.Symlink(made(t, filepath.Join(r.Root, "other"), 0), r.Dir)) },
		"a link far away": func(r Run) { must.NoError(t, os.Symlink(made(t, t.TempDir(), 70011), r.Dir)) },
		"a FIFO":          func(r Run) { must.NoError(t, syscall.Mkfifo(r.Dir, 0o777)) },
		"nothing":         func(Run) {},
	} {
		r := someRun(t)
		put(r)
		_, err := r.OpenDir()
		must.Error(t, err, must.Sprint(name))
		must.Error(t, r.Link("/nowhere", "link"), must.Sprint(name))
		_, err = os.Lstat(filepath.Join(r.Dir, "link"))
		must.Error(t, err)
	}
}

// Only what a sidecar has made for itself is found: its user cannot make it.
func TestFindRun(t *testing.T) {
	t.Parallel()
	r := someRun(t)
	must.NoError(t, r.makeDir())
	found, err := FindRun(r.Root, r.Dir, true)
	must.NoError(t, err)
	must.Eq(t, r.User.UID, found.User.UID)
	must.NoError(t, found.RemoveDir())
	must.DirNotExists(t, r.Dir)
	_, err = FindRun(r.Root, r.Dir, true)
	must.ErrorIs(t, err, os.ErrNotExist)

	sign := func(r Run) string { return filepath.Join(r.Dir, signature) }
	for name, forge := range map[string]func(r Run){
		"unsigned": func(Run) {},
		"the user's word": func(r Run) {
			must.NoError(t, os.WriteFile(sign(r), []byte(r.Dir), 0o400))
			must.NoError(t, os.Chown(sign(r), 70011, 70011))
		},
		"of elsewhere": func(r Run) { must.NoError(t, os.WriteFile(sign(r), []byte(r.Dir+"2"), 0o400)) },
		"longer": func(r Run) {
			must.NoError(t, os.WriteFile(sign(r), append([]byte(r.Dir), make([]byte, unix.PathMax)...), 0o400))
		},
		"a FIFO": func(r Run) { must.NoError(t, syscall.Mkfifo(sign(r), 0o400)) },
		"with two names": func(r Run) {
			must.NoError(t, os.WriteFile(sign(r), []byte(r.Dir), 0o400))
			must.NoError(t, os.Link(sign(r), filepath.Join(r.Root, "two")))
		},
		"a link": func(r Run) {
			must.NoError(t, os.WriteFile(filepath.Join(r.Root, "one"), []byte(r.Dir), 0o400))
			must.NoError(t, os.Symlink(filepath.Join(r.Root, "one"), sign(r)))
		},
	} {
		r := someRun(t)
		made(t, r.Dir, 70011)
		forge(r)
		_, err := FindRun(r.Root, r.Dir, true)
		must.ErrorIs(t, err, ErrForeign, must.Sprint(name))
	}
}
