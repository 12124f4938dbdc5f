package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"nomad-driver-connect/process"
)

// hotRestartSocket is what the names begin with of the sockets over which the
// generations of a sidecar talk: in the run directory, where nobody else is.
const hotRestartSocket = "hot_restart"

// parentSocket is where the successor of an epoch finds it. Envoy has names for
// three generations (createDomainSocketAddress of source/server/
// hot_restarting_base.cc).
func parentSocket(dir string, epoch int) string {
	return fmt.Sprintf("%s_parent_%d", hotRestartSocket, 10*int(baseID(dir))+epoch%3)
}

// standIn hears out what the successor of a generation has to say to it: that it
// should end. An Envoy that finds nobody there aborts. It returns when that was
// said, or ctx has ended.
func standIn(ctx context.Context, dir string, epoch int, user process.User) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// By a descriptor, as for Envoy's admin API.
	path := filepath.Join(fmt.Sprintf("/proc/self/fd/%d", d.Fd()), parentSocket(dir, epoch))
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if user.Switch {
		if err := os.Lchown(path, int(user.UID), int(user.GID)); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	_, _, err = conn.ReadFromUnix(make([]byte, 4096))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}
