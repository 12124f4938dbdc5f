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

	"nomad-driver-connect/process"
)

// A successor finds somebody who answers until it was told to end: it would
// wait for ever, or abort.
func TestStandIn(t *testing.T) {
	dir := t.TempDir()
	done := make(chan error, 1)
	go func() { done <- StandIn(t.Context(), dir, 7, 4, process.User{}) }()
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
		{"\x0a\x02\x12\x00", "\x12\x02\x12\x00"},                                                          // shutdown_admin
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
	must.NoError(t, StandIn(over, dir, 7, 4, process.User{}), must.Sprint("nobody said anything"))
}

func TestAskedIn_nothing(t *testing.T) {
	for _, message := range []string{
		"", "\x00\x00\x00\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01\x0a",
		"\x00\x00\x00\x00\x00\x00\x00\x04\x12\x02\x0a\x00",
	} {
		must.Zero(t, askedIn([]byte(message)), must.Sprintf("%q is no request", message))
	}
}
