package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// newNetwork makes a network namespace that lives as long as the test.
func newNetwork(t *testing.T) Network {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root makes network namespaces, and CI is to be root")
		}
		t.Skip("only root makes network namespaces")
	}
	path := make(chan string)
	goOnOwnThread(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		path <- fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	})
	return Network(<-path)
}

// withLoopback brings the loopback interface of a namespace up.
func withLoopback(t *testing.T, network Network) Network {
	t.Helper()
	must.NoError(t, network.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		request, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_UP)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
	}))
	return network
}

// What is opened in a namespace stays there: the port is free in ours.
func TestNetwork(t *testing.T) {
	network := newNetwork(t)
	var inside net.Listener
	must.NoError(t, network.Do(func() (err error) {
		inside, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", "0.0.0.0:0")
		return err
	}))
	defer func() { _ = inside.Close() }()
	outside, err := net.Listen("tcp", inside.Addr().String())
	must.NoError(t, err, must.Sprint("the same port is another one outside"))
	must.NoError(t, outside.Close())
	must.ErrorContains(t, Network("/nowhere").Do(func() error { return nil }), "join the network namespace")
}
