package fake

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
)

// Generations hand each other the sockets that they listen on, as Envoys do
// (source/server/hot_restarting_base.cc): by datagrams between sockets in the working
// directory, a HotRestartMessage behind its length in each.

// socketName is that of a generation in one of the two parts that it plays.
func (g *generation) socketName(part string, epoch int) string {
	base, _ := strconv.Atoi(flagOf(g.args, "--base-id"))
	return fmt.Sprintf("hot_restart_%s_%d", part, 10*base+epoch%3)
}

// Fields of the messages.
const (
	messageRequest protowire.Number = 1
	messageReply   protowire.Number = 2
	passSocket     protowire.Number = 1
	socketAddress  protowire.Number = 1 // of the request
	socketFD       protowire.Number = 1 // of the reply
)

// message makes one about a listening socket.
func message(kind protowire.Number, content []byte) []byte {
	inner := protowire.AppendBytes(protowire.AppendTag(nil, passSocket, protowire.BytesType), content)
	outer := protowire.AppendBytes(protowire.AppendTag(nil, kind, protowire.BytesType), inner)
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(outer))), outer...)
}

// inherit gives the socket of the generation before at an address; nil when that has
// none, or nobody answers for it.
func (g *generation) inherit(address string) (net.Listener, error) {
	own := g.socketName("child", g.epoch)
	_ = os.Remove(own)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: own})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	request := message(messageRequest, protowire.AppendString(protowire.AppendTag(nil, socketAddress, protowire.BytesType), "tcp://"+address))
	if _, err := conn.WriteToUnix(request, &net.UnixAddr{Net: "unixgram", Name: g.socketName("parent", g.epoch-1)}); err != nil {
		return nil, nil //nolint:nilnil // nobody is there
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	answer, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(answer, rights)
	if err != nil {
		return nil, err
	}
	return listenerIn(rights[:n])
}

// listenerIn is the socket that came with an answer; nil for none.
func listenerIn(rights []byte) (net.Listener, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, err
	}
	file := os.NewFile(uintptr(fds[0]), "listener")
	defer func() { _ = file.Close() }()
	return net.FileListener(file)
}

// bequeath hands the generation's socket to its successor.
func (g *generation) bequeath(ctx context.Context) error {
	own := g.socketName("parent", g.epoch)
	_ = os.Remove(own)
	config := net.ListenConfig{}
	conn, err := config.ListenPacket(ctx, "unixgram", own)
	if err != nil {
		return err
	}
	go func() {
		request := make([]byte, 4096)
		for {
			_, from, err := conn.(*net.UnixConn).ReadFromUnix(request)
			if err != nil {
				return
			}
			_ = g.answer(conn.(*net.UnixConn), from)
		}
	}()
	return nil
}

func (g *generation) answer(conn *net.UnixConn, to *net.UnixAddr) error {
	file, err := g.listener.Listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	reply := message(messageReply, protowire.AppendVarint(protowire.AppendTag(nil, socketFD, protowire.VarintType), uint64(file.Fd())))
	_, _, err = conn.WriteMsgUnix(reply, unix.UnixRights(int(file.Fd())), to)
	return err
}
