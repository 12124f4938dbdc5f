package envoy

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// The file is its user's to read, and nobody's to execute, now or later.
func TestSecretFile(t *testing.T) {
	t.Parallel()
	f, err := secretFile("x", []byte("secret"), process.User{})
	must.NoError(t, err)
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(f)
	must.NoError(t, err)
	must.Eq(t, "secret", string(content))
	info, err := f.Stat()
	must.NoError(t, err)
	must.Eq(t, os.FileMode(0o400), info.Mode())

	fd, err := unix.MemfdCreate("y", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("this kernel is older than 6.3")
	}
	must.NoError(t, err)
	must.NoError(t, unix.Close(fd))
	must.ErrorIs(t, f.Chmod(0o500), unix.EPERM)
}
