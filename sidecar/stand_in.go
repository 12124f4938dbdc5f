package sidecar

import (
	"context"
	"encoding/binary"
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

// standIn hears out what the successor of a generation has to say to it, and
// answers that there is nothing any more. An Envoy that finds nobody there aborts;
// one that gets no answer hangs. It returns when ctx ends.
func standIn(ctx context.Context, dir string, epoch int, user process.User) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// By a descriptor, as for Envoy's admin API.
	here := fmt.Sprintf("/proc/self/fd/%d", d.Fd())
	path := filepath.Join(here, parentSocket(dir, epoch))
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	var conn *net.UnixConn
	if err := process.AsUser(user, func() (err error) { // whom the successor runs as
		conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	message := make([]byte, 4096)
	for {
		n, from, readErr := conn.ReadFromUnix(message)
		if err = readErr; err != nil {
			break
		}
		if answer := standInAnswer(message[:n]); answer != nil && from != nil {
			to := filepath.Join(here, filepath.Base(from.Name))
			_, _ = conn.WriteToUnix(answer, &net.UnixAddr{Net: "unixgram", Name: to}) // or it has gone meanwhile
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// Envoy's generations send each other a HotRestartMessage (source/server/
// hot_restart.proto) behind its length, in eight bytes of network order. These
// are the tags of the requests that want an answer.
const (
	requestSocket = 0x0a // pass_listen_socket
	requestAdmin  = 0x12 // shutdown_admin
	requestStats  = 0x1a // stats

	requestTagAt = 10 // behind the length, and the tag and length of the request
)

// standInAnswer is that of a generation that has nothing: no socket (-1), no
// stats. It is nil when none is wanted.
func standInAnswer(message []byte) []byte {
	if len(message) <= requestTagAt {
		return nil
	}
	var reply []byte
	switch message[requestTagAt] {
	case requestSocket:
		reply = []byte{0x12, 0x0d, 0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	case requestAdmin, requestStats:
		reply = []byte{0x12, 0x02, message[requestTagAt], 0x00}
	default:
		return nil
	}
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(reply))), reply...)
}
