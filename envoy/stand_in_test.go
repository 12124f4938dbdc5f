package envoy

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// A successor finds somebody who answers until it was told to end: it would
// wait for ever, or abort.
func TestStandIn(t *testing.T) {
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() { done <- StandIn(t.Context(), runIn(dir), 7, 4, nil) }()
	child, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "hot_restart_child_5")})
	must.NoError(t, err)
	defer func() { _ = child.Close() }()
	parent := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, parentSocket(7, 4))}
	say := func(request string) {
		message := append(binary.BigEndian.AppendUint64(nil, uint64(len(request))), request...)
		must.Wait(t, wait.InitialSuccess(wait.ErrorFunc(func() error { _, err := child.WriteToUnix(message, parent); return err }),
			wait.Timeout(10*time.Second), wait.Gap(10*time.Millisecond)))
	}
	say("\x0a\x02\x22\x00") // drain_listeners
	for _, tc := range []struct{ request, answer string }{
		{"\x0a\x02\x12\x00", "\x12\x04\x12\x02\x10\x01"},                                                  // shutdown_admin: ports are shared
		{"\x0a\x02\x1a\x00", "\x12\x02\x1a\x00"},                                                          // stats
		{"\x0a\x09\x0a\x07\x0a\x05tcp:/", "\x12\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}, // pass_listen_socket
	} {
		say(tc.request)
		must.NoError(t, child.SetReadDeadline(time.Now().Add(10*time.Second)))
		got := make([]byte, 100)
		n, _, err := child.ReadFromUnix(got)
		must.NoError(t, err)
		must.Eq(t, string(binary.BigEndian.AppendUint64(nil, uint64(len(tc.answer))))+tc.answer, string(got[:n]))
	}
	say("\x0a\x02\x2a\x00") // terminate
	must.NoError(t, <-done)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	must.NoError(t, StandIn(over, runIn(dir), 7, 4, nil), must.Sprint("nobody said anything"))
}

func TestParseRequest_nothing(t *testing.T) {
	for _, message := range []string{
		"", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01\x0a",
		"\x00\x00\x00\x00\x00\x00\x00\x04\x12\x02\x0a\x00",
	} {
		must.Eq(t, request{}, parseRequest([]byte(message)), must.Sprintf("%q is no request", message))
	}
}

// Kept sockets are handed over: to each worker its own, by its number, and none that was
// given up.
func TestStandIn_kept(t *testing.T) {
	t.Parallel()
	listen := func(network, address string) process.Listener {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must.NoError(t, err)
		return process.Listener{Network: network, Address: address, File: process.NewSocket(fd)}
	}
	first, second, third := listen("tcp", "[::]:80"), listen("unix", "a.sock"), listen("tcp", "[::]:80")
	s, ask := standInTo(t, first, second, third)
	for _, tc := range []struct {
		asked request
		want  *process.Socket
	}{
		{request{what: askSocket, address: "tcp://[::]:80"}, first.File},
		{request{what: askSocket, address: "tcp://[::]:80", worker: 1}, third.File},
		{request{what: askSocket, address: "tcp://[::]:80", worker: 2}, nil},
		{request{what: askSocket, address: "tcp://0.0.0.0:80"}, nil},
		{request{what: askSocket, address: "unix://a.sock"}, second.File},
		{request{what: askSocket, address: "udp://[::]:80"}, nil},
		{request{what: askSocket}, nil},
	} {
		must.True(t, tc.want == s.socket(tc.asked), must.Sprint(tc.asked))
		answer, passed := ask(tc.asked)
		must.Eq(t, tc.want == nil, bytes.Equal(answer, socketReply(noSocket)))
		must.Eq(t, tc.want == nil, len(passed) == 0)
	}
	must.NoError(t, first.File.Close())
	answer, passed := ask(request{what: askSocket, address: "tcp://[::]:80"})
	must.Eq(t, socketReply(noSocket), answer, must.Sprint("its number may be another file's by now"))
	must.SliceEmpty(t, passed)
}

// standInTo is one with a successor that asks.
func standInTo(t *testing.T, kept ...process.Listener) (s *standIn, ask func(request) (answer, passed []byte)) {
	dir := t.TempDir()
	listen := func(name string) *net.UnixConn {
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, name)})
		must.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	s = &standIn{here: dir, kept: kept, conn: listen("parent")}
	child := listen("child")
	return s, func(asked request) (answer, passed []byte) {
		s.reply(asked, child.LocalAddr().(*net.UnixAddr))
		answer, passed = make([]byte, 100), make([]byte, 100)
		n, rights, _, _, err := child.ReadMsgUnix(answer, passed)
		must.NoError(t, err)
		return answer[:n], passed[:rights]
	}
}

// A successor whose socket is full, since it reads nothing, holds nobody up.
func TestStandIn_unread(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- StandIn(ctx, runIn(dir), 7, 4, nil) }()
	child, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "hot_restart_child_5")})
	must.NoError(t, err)
	defer func() { _ = child.Close() }()
	full := make(chan struct{})
	go func() {
		defer close(full)
		parent := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, parentSocket(7, 4))}
		ask := append(binary.BigEndian.AppendUint64(nil, 4), "\x0a\x02\x1a\x00"...) // stats
		// Both queues are full when it can say no more within a while.
		for last := time.Now(); time.Since(last) < replyGrace/4; {
			_ = child.SetWriteDeadline(time.Now().Add(replyGrace / 20))
			if _, err := child.WriteToUnix(ask, parent); err == nil {
				last = time.Now()
			}
		}
	}()
	<-full
	began := time.Now()
	stop()
	must.NoError(t, <-done)
	must.Less(t, 3*replyGrace, time.Since(began))
}

// The stand-in reaches its successor's path with the user's rights alone.
func TestStandIn_rights(t *testing.T) {
	t.Parallel()
	mustBeRoot(t)
	s, _ := standInTo(t)
	s.user = process.User{Name: "x", UID: 70031, GID: 70031, Switch: true}
	roots, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(s.here, "roots")})
	must.NoError(t, err)
	defer func() { _ = roots.Close() }()
	must.NoError(t, os.Chmod(filepath.Dir(s.here), 0o755))
	must.ErrorIs(t, s.send(statsReply(), nil, roots.LocalAddr().(*net.UnixAddr)), os.ErrPermission)
	must.NoError(t, os.Chown(filepath.Join(s.here, "roots"), 70031, 70031))
	must.NoError(t, s.send(statsReply(), nil, roots.LocalAddr().(*net.UnixAddr)))
}

// A port that one does not share is not asked for by others.
func TestStandIn_reusesPorts(t *testing.T) {
	t.Parallel()
	must.True(t, (&standIn{}).reusesPorts())
	for _, shared := range []int{0, 1} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must.NoError(t, err)
		defer func() { _ = unix.Close(fd) }()
		must.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, shared))
		s := standIn{kept: []process.Listener{{Network: "tcp", File: process.NewSocket(fd)}}}
		must.Eq(t, shared == 1, s.reusesPorts())
	}
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	// A field that is not known yet stands between.
	must.Eq(t, request{what: askSocket, address: "tcp:/", worker: 3},
		parseRequest([]byte("\x00\x00\x00\x00\x00\x00\x00\x0f\x0a\x0d\x0a\x0b\x22\x00\x0a\x05tcp:/\x10\x03")))
}

// The start of a successor waits for the stand-in of one that has crashed.
func TestAwaitParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	must.NoError(t, awaitParent(runIn(dir), 7, 4), must.Sprint("there was none"))
	must.Less(t, standInGrace, time.Since(began))

	path := filepath.Join(dir, parentSocket(7, 4))
	gone, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	must.NoError(t, err)
	must.NoError(t, gone.Close())
	eventually(t, func() bool { return isDeserted(path) }) // a child that is being started has it open, too
	waited := make(chan error, 1)
	go func() { waited <- awaitParent(runIn(dir), 7, 4) }()
	go func() { _ = StandIn(t.Context(), runIn(dir), 7, 4, nil) }()
	must.NoError(t, <-waited)
	must.False(t, isDeserted(path))
}
