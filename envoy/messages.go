package envoy

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

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

	socketAddress protowire.Number = 1 // of pass_listen_socket
	socketWorker  protowire.Number = 2

	replySocketFD  protowire.Number = 1
	replyReusePort protowire.Number = 2 // of shutdown_admin: enable_reuse_port_default

	lengthSize = 8
	maxMessage = 4096 // Envoy cuts in pieces what is longer; no request is
)

// noSocket is the descriptor that says there is none.
const noSocket = -1

// request is what a generation asks its parent for.
type request struct {
	what    protowire.Number // 0 for no request
	address string           // of askSocket: "tcp://127.0.0.1:80", "unix:///path"
	worker  uint64           // of askSocket: whose socket, from 0 on
}

func parseRequest(message []byte) (r request) {
	if len(message) < lengthSize {
		return r
	}
	asked, _ := field(message[lengthSize:], messageRequest)
	what, _, n := protowire.ConsumeTag(asked)
	if n < 0 {
		return r
	}
	r.what = what
	if what == askSocket {
		socket, _ := field(asked, askSocket)
		address, _ := field(socket, socketAddress)
		r.address = string(address)
		_, r.worker = field(socket, socketWorker)
	}
	return r
}

// field gives one of a message, by its kind as bytes or as a number; nothing where the
// message has none.
func field(message []byte, wanted protowire.Number) (content []byte, number uint64) {
	for len(message) > 0 {
		found, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, 0
		}
		size := protowire.ConsumeFieldValue(found, kind, message[tag:])
		if size < 0 {
			return nil, 0
		}
		value := message[tag : tag+size]
		switch {
		case found == wanted && kind == protowire.BytesType:
			content, _ = protowire.ConsumeBytes(value)
			return content, 0
		case found == wanted && kind == protowire.VarintType:
			number, _ = protowire.ConsumeVarint(value)
			return nil, number
		}
		message = message[tag+size:]
	}
	return nil, 0
}

// statsReply says that there is nothing to count on.
func statsReply() []byte { return reply(askStats, nil) }

// adminReply says that the admin API is closed, and whether the workers of a listener
// share its port, each with a socket of its own, where its configuration says nothing.
func adminReply(reusePort bool) []byte {
	content := protowire.AppendTag(nil, replyReusePort, protowire.VarintType)
	return reply(askAdmin, protowire.AppendVarint(content, protowire.EncodeBool(reusePort)))
}

// socketReply names a descriptor. A real one goes with the message, and has another
// number where that arrives.
func socketReply(fd int) []byte {
	content := protowire.AppendTag(nil, replySocketFD, protowire.VarintType)
	return reply(askSocket, protowire.AppendVarint(content, uint64(int64(fd))))
}

func reply(asked protowire.Number, content []byte) []byte {
	inner := protowire.AppendBytes(protowire.AppendTag(nil, asked, protowire.BytesType), content)
	message := protowire.AppendBytes(protowire.AppendTag(nil, messageReply, protowire.BytesType), inner)
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(message))), message...)
}
