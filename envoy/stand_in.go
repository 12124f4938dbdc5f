package envoy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// hotRestartSocket is what the names begin with of the sockets over which the
// generations talk: in their working directory, where nobody else is.
const hotRestartSocket = "hot_restart"

// parentSocket is where the successor of an epoch finds it. Envoy has names for
// three generations (createDomainSocketAddress of source/server/
// hot_restarting_base.cc).
func parentSocket(base uint32, epoch int) string {
	return fmt.Sprintf("%s_parent_%d", hotRestartSocket, 10*int(base)+epoch%3)
}

// StandIn hears out what the successor of a generation has to say to it, and hands
// over what is kept of its listening sockets: none when it has left by itself. An Envoy
// that finds nobody there aborts; one that gets no answer hangs. The generation is told by
// its working directory, base ID and epoch, and was the user's. A generation that still
// runs hears nothing any more, because its successor looks its parent's path up for each
// message. StandIn returns when it was told to end, which is the last that a successor
// says, or without an error when ctx has ended.
func StandIn(ctx context.Context, run sidecar.Run, base uint32, epoch int, kept []process.Listener) (err error) {
	if ctx.Err() != nil {
		return nil // the directory may be about to go
	}
	d, err := run.OpenDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// By a descriptor, as for Envoy's admin API.
	s := standIn{here: fmt.Sprintf("/proc/self/fd/%d", d.Fd()), user: run.User, kept: kept}
	if err := s.takePath(parentSocket(base, epoch)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.conn.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetDeadline(time.Now()) })()
	if err := s.answer(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// standIn is what answers in the place of a generation.
type standIn struct {
	here string // the working directory
	user process.User
	kept []process.Listener
	conn *net.UnixConn
}

// takePath makes the socket, and puts it in the place of that of a generation that is
// gone or is to hear no more: at once, since an Envoy that finds none aborts.
func (s *standIn) takePath(name string) error {
	path := filepath.Join(s.here, name)
	beside := path + "_stand_in"
	if err := os.Remove(beside); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := process.AsUser(s.user, func() (err error) { // whom the successor runs as
		s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: beside})
		return err
	}); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return errors.Join(err, s.conn.Close())
	}
	return nil
}

// answer serves requests until one tells it to end.
func (s *standIn) answer() error {
	buffer := make([]byte, maxMessage)
	for {
		n, from, err := s.conn.ReadFromUnix(buffer)
		if err != nil {
			return err
		}
		asked := parseRequest(buffer[:n])
		if asked.what == askTerminate {
			return nil
		}
		if from != nil {
			s.reply(asked, &net.UnixAddr{Net: "unixgram", Name: filepath.Join(s.here, filepath.Base(from.Name))})
		}
	}
}

// reply answers a request that wants an answer. A successor that has gone meanwhile
// misses none.
func (s *standIn) reply(asked request, to *net.UnixAddr) {
	switch asked.what {
	case askSocket:
		if s.handOver(asked, to) != nil {
			_ = s.send(socketReply(noSocket), nil, to)
		}
	case askAdmin:
		_ = s.send(adminReply(s.reusesPorts()), nil, to)
	case askStats:
		_ = s.send(statsReply(), nil, to)
	default: // it wants none
	}
}

// replyGrace is ample for a successor that waits for the answer. The socket of one that
// reads nothing is full for ever.
const replyGrace = time.Second

// send answers with the user's rights, as the user says where the successor's socket is.
func (s *standIn) send(message, passed []byte, to *net.UnixAddr) error {
	return process.AsUser(s.user, func() error {
		if err := s.conn.SetWriteDeadline(time.Now().Add(replyGrace)); err != nil {
			return err
		}
		_, _, err := s.conn.WriteMsgUnix(message, passed, to)
		return err
	})
}

// errNoSocket says that none is kept.
var errNoSocket = errors.New("no socket is kept there")

// handOver sends a socket that is kept, unless it was given up meanwhile.
func (s *standIn) handOver(asked request, to *net.UnixAddr) error {
	kept := s.socket(asked)
	if kept == nil {
		return errNoSocket
	}
	return kept.Use(func(fd int) error { return s.send(socketReply(fd), unix.UnixRights(fd), to) })
}

// reusesPorts tells whether each worker has listeners of its own, which a successor
// takes up from its parent. A port where one is kept that does not share it would be
// taken for the others.
func (s *standIn) reusesPorts() bool {
	return !slices.ContainsFunc(s.kept, func(l process.Listener) bool {
		shared := 0
		err := l.File.Use(func(fd int) (err error) {
			shared, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
			return err
		})
		return l.Network == "tcp" && (err != nil || shared == 0)
	})
}

// socket is the one that a worker is to listen on; nil when none is kept. (Workers that
// share one have the first of them ask.)
func (s *standIn) socket(asked request) *process.Socket {
	network, address, _ := strings.Cut(asked.address, "://")
	worker := asked.worker
	for _, listener := range s.kept {
		if listener.Network != network || listener.Address != address {
			continue
		}
		if worker == 0 {
			return listener.File
		}
		worker--
	}
	return nil
}
