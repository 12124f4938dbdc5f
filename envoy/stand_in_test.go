package envoy

import (
	"context"
	"encoding/binary"
	"net"
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
	go func() { done <- StandIn(t.Context(), dir, 7, 4, process.User{}, nil) }()
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
	must.NoError(t, StandIn(over, dir, 7, 4, process.User{}, nil), must.Sprint("nobody said anything"))
}

func TestParseRequest_nothing(t *testing.T) {
	for _, message := range []string{
		"", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01\x0a",
		"\x00\x00\x00\x00\x00\x00\x00\x04\x12\x02\x0a\x00",
	} {
		must.Eq(t, request{}, parseRequest([]byte(message)), must.Sprintf("%q is no request", message))
	}
}

// What is kept is handed over: to each worker its own, by its number.
func TestStandIn_kept(t *testing.T) {
	t.Parallel()
	listen := func(fd int) process.Listener {
		return process.Listener{Network: "tcp", Address: "[::]:80", File: process.NewSocket(fd)}
	}
	s := standIn{kept: []process.Listener{listen(5), {Network: "unix", Address: "a.sock", File: process.NewSocket(6)}, listen(7)}}
	for _, tc := range []struct {
		asked request
		want  int
	}{
		{request{what: askSocket, address: "tcp://[::]:80"}, 5},
		{request{what: askSocket, address: "tcp://[::]:80", worker: 1}, 7},
		{request{what: askSocket, address: "tcp://[::]:80", worker: 2}, noSocket},
		{request{what: askSocket, address: "tcp://0.0.0.0:80"}, noSocket},
		{request{what: askSocket, address: "unix://a.sock"}, 6},
		{request{what: askSocket, address: "udp://[::]:80"}, noSocket},
		{request{what: askSocket}, noSocket},
	} {
		must.Eq(t, tc.want, s.socket(tc.asked), must.Sprint(tc.asked))
		answer, passed := s.reply(tc.asked)
		must.Eq(t, socketReply(tc.want), answer)
		must.Eq(t, tc.want == noSocket, passed == nil)
	}
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

// Who starts the successor of one that has crashed waits for who stands in for it.
func TestAwaitParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	began := time.Now()
	must.NoError(t, awaitParent(dir, 7, 4), must.Sprint("there was none"))
	must.Less(t, standInGrace, time.Since(began))

	path := filepath.Join(dir, parentSocket(7, 4))
	gone, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	must.NoError(t, err)
	must.NoError(t, gone.Close())
	eventually(t, func() bool { return isDeserted(path) }) // a child that is being started has it open, too
	waited := make(chan error, 1)
	go func() { waited <- awaitParent(dir, 7, 4) }()
	go func() { _ = StandIn(t.Context(), dir, 7, 4, process.User{}, nil) }()
	must.NoError(t, <-waited)
	must.False(t, isDeserted(path))
}
