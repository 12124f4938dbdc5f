package envoy

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
		f, err := openRegular(path)
		must.NoError(t, err)
		must.NoError(t, f.Close())
	}
	for _, path := range []string{dir, fifo, "/dev/null"} {
		_, err := openRegular(path)
		must.ErrorContains(t, err, path+" is no file")
	}
	_, err := openRegular(filepath.Join(dir, "none"))
	must.ErrorIs(t, err, os.ErrNotExist)
}
