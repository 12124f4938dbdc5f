package envoy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"nomad-driver-connect/process"
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

// StandIn hears out what the successor of a generation has to say to it, and
// answers that there is nothing any more. An Envoy that finds nobody there aborts;
// one that gets no answer hangs. The generation is told by its working directory, base ID and
// epoch, and was the user's. It returns when it was told to end, which is the
// last that a successor says, or without an error when ctx has ended.
func StandIn(ctx context.Context, dir string, base uint32, epoch int, user process.User) (err error) {
	if ctx.Err() != nil {
		return nil // the directory may be about to go
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// By a descriptor, as for Envoy's admin API.
	here := fmt.Sprintf("/proc/self/fd/%d", d.Fd())
	path := filepath.Join(here, parentSocket(base, epoch))
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
	message := make([]byte, maxMessage)
	for asked := protowire.Number(0); asked != askTerminate; {
		n, from, err := conn.ReadFromUnix(message)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		asked = askedIn(message[:n])
		if answer := answerNothing(asked); answer != nil && from != nil {
			to := filepath.Join(here, filepath.Base(from.Name))
			_, _ = conn.WriteToUnix(answer, &net.UnixAddr{Net: "unixgram", Name: to}) // or it has gone meanwhile
		}
	}
	return nil
}

// Generations send each other a HotRestartMessage (source/server/
// hot_restart.proto) behind its length, eight bytes in network order. These are
// the numbers of its fields, and of those of a request and of its reply.
const (
	messageRequest protowire.Number = 1
	messageReply   protowire.Number = 2

	askSocket    protowire.Number = 1 // pass_listen_socket
	askAdmin     protowire.Number = 2 // shutdown_admin
	askStats     protowire.Number = 3
	askTerminate protowire.Number = 5

	replySocketFD protowire.Number = 1

	lengthSize = 8
	maxMessage = 4096 // Envoy cuts in pieces what is longer; no request is
)

// askedIn is what a message asks for, and 0 when it is no request.
func askedIn(message []byte) protowire.Number {
	if len(message) < lengthSize {
		return 0
	}
	message = message[lengthSize:]
	field, _, n := protowire.ConsumeTag(message)
	if n < 0 || field != messageRequest {
		return 0
	}
	request, n := protowire.ConsumeBytes(message[n:])
	if n < 0 {
		return 0
	}
	asked, _, n := protowire.ConsumeTag(request)
	if n < 0 {
		return 0
	}
	return asked
}

// answerNothing is the reply of a generation that has nothing: no socket, no
// statistics. It is nil for what wants no answer.
func answerNothing(asked protowire.Number) []byte {
	var nothing []byte
	switch asked {
	case askSocket:
		nothing = protowire.AppendTag(nil, replySocketFD, protowire.VarintType)
		nothing = protowire.AppendVarint(nothing, math.MaxUint64) // -1
	case askAdmin, askStats:
	default:
		return nil
	}
	reply := protowire.AppendBytes(protowire.AppendTag(nil, asked, protowire.BytesType), nothing)
	message := protowire.AppendBytes(protowire.AppendTag(nil, messageReply, protowire.BytesType), reply)
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(message))), message...)
}
