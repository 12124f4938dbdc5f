package sidecar_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// A log FIFO never blocks the writer and never breaks, read or not.
func TestOpenLog_fifo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	log, err := sidecar.OpenLog(filepath.Dir(path), path, process.User{})
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

// The user of a program opens its log by the name /dev/stdout, too.
func TestOpenLog_user(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	path := filepath.Join(t.TempDir(), "fifo")
	must.NoError(t, syscall.Mkfifo(path, 0o600))
	log, err := sidecar.OpenLog(filepath.Dir(path), path, process.User{Name: "somebody", UID: 81011, GID: 81012, Switch: true})
	must.NoError(t, err)
	must.NoError(t, log.Close())
	info, err := os.Stat(path)
	must.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	must.Eq(t, 81011, stat.Uid)
	must.Eq(t, 81012, stat.Gid)
}

func TestCheckPortFree(t *testing.T) {
	t.Parallel()
	free := sidecar.Port{Label: "mesh", Address: ownAddress(), Number: freePort()}
	must.NoError(t, sidecar.CheckPortFree(t.Context(), "", free, ""))
	elsewhere := sidecar.Port{Address: "192.0.2.77", Number: 80}
	must.ErrorContains(t, sidecar.CheckPortFree(t.Context(), "", elsewhere, ""), "does not belong to this machine")
}
