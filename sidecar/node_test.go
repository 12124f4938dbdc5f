package sidecar_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// A log FIFO never blocks the writer and never breaks, read or not.
func TestOpenLog_fifo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	log, err := sidecar.OpenLog(filepath.Dir(path), path)
	must.NoError(t, err)
	defer func() { _ = log.Close() }()

	// As a child has it: the plain descriptor, without the runtime's poller.
	raw, err := log.SyscallConn()
	must.NoError(t, err)
	line := make([]byte, 4096)
	written := 0
	must.NoError(t, raw.Control(func(fd uintptr) {
		for {
			n, err := syscall.Write(int(fd), line)
			if err != nil {
				must.ErrorIs(t, err, syscall.EAGAIN)
				return
			}
			written += n
		}
	}))
	must.Eq(t, sidecar.LogPipeSize, written)
}

func TestCheckPortFree(t *testing.T) {
	t.Parallel()
	free := sidecar.Port{Label: "mesh", Address: ownAddress(), Number: freePort()}
	must.NoError(t, sidecar.CheckPortFree(t.Context(), "", free))
	elsewhere := sidecar.Port{Address: "192.0.2.77", Number: 80}
	must.ErrorContains(t, sidecar.CheckPortFree(t.Context(), "", elsewhere), "does not belong to this machine")
}
