package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// Only files are opened: a FIFO would not open, and a device could do anything.
func TestOpenRegular(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, fifo, link := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	must.NoError(t, os.WriteFile(file, []byte("x"), 0o711))
	must.NoError(t, syscall.Mkfifo(fifo, 0o600))
	must.NoError(t, os.Symlink(file, link))
	for _, path := range []string{file, link} {
		f, err := OpenRegular(path)
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
	for _, path := range []string{dir, fifo, "/dev/null"} {
		_, err := OpenRegular(path)
		must.ErrorContains(t, err, path+" is no file")
	}
	_, err := OpenRegular(filepath.Join(dir, "none"))
	must.ErrorIs(t, err, os.ErrNotExist)
}

// A link to what a process has open leads somebody else to another file: it is none.
func TestFollowLinks(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must.NoError(t, err)
	at := func(name string) string { return filepath.Join(dir, name) }
	must.NoError(t, os.WriteFile(at("file"), nil, 0o600))
	for link, target := range map[string]string{"link": "file", "to the link": "link", "out": "/dev/stdout"} {
		must.NoError(t, os.Symlink(target, at(link)))
	}
	for path, want := range map[string]string{at("file"): at("file"), at("to the link"): at("file"), dir: dir} {
		end, isDir, err := FollowLinks(path)
		must.NoError(t, err)
		must.Eq(t, want, end)
		must.Eq(t, path == dir, isDir)
	}
	for _, path := range []string{at("out"), "/dev/stderr", "/dev/fd/0", "/proc/self/fd/0"} {
		_, _, err := FollowLinks(path)
		must.ErrorIs(t, err, syscall.ELOOP)
	}
	_, _, err = FollowLinks(at("none"))
	must.ErrorIs(t, err, os.ErrNotExist)
}
