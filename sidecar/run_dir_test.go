package sidecar

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

// A log FIFO never blocks the writer and never breaks, read or not.
func TestOpenLog_fifo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	log, err := openLog(filepath.Dir(path), path)
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
	must.Eq(t, logPipeSize, written)
}

func TestCheckPortFree(t *testing.T) {
	free := Port{Label: "mesh", Address: "127.0.0.1", Number: freePort(t)}
	must.NoError(t, checkPortFree(t.Context(), "", free))
	elsewhere := Port{Address: "192.0.2.77", Number: 80}
	must.ErrorContains(t, checkPortFree(t.Context(), "", elsewhere), "does not belong to this machine")
}
