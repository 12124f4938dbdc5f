package envoy

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// standInGrace is ample for a StandIn that is about to begin.
const standInGrace = time.Second

// awaitParent waits until somebody hears what the successor of a generation has to
// say: one that has crashed leaves a socket where nobody is, and a successor that comes
// before its StandIn goes without the sockets that are kept. Nobody at all is no error, as
// Envoy then starts without a parent.
func awaitParent(run sidecar.Run, base uint32, epoch int) error {
	d, err := run.OpenDir()
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	path := filepath.Join(fmt.Sprintf("/proc/self/fd/%d", d.Fd()), parentSocket(base, epoch))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(standInGrace); time.Now().Before(deadline); <-tick.C {
		deserted := false
		err := process.AsUser(run.User, func() error {
			deserted = isDeserted(path)
			return nil
		})
		if err != nil || !deserted {
			return err
		}
	}
	return nil
}

// isDeserted tells a socket that its process has left behind.
func isDeserted(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), unix.ECONNREFUSED)
}
