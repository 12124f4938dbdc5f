package agents

import (
	"errors"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// FreePorts gives TCP ports that nobody listens on.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // only when all are chosen, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// portRangeSize is how many dynamic ports a cluster may give to its jobs.
const portRangeSize = 200

// portRange finds a run of dynamic ports below the kernel's ephemeral ones, by
// claiming its first port for as long as this process lives: two clusters on
// one machine get different runs.
func portRange() (int, error) {
	for first := 20000; first+portRangeSize <= 32000; first += portRangeSize {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		name := "@nomad-driver-connect-ports-" + strconv.Itoa(first)
		if unix.Bind(fd, &unix.SockaddrUnix{Name: name}) == nil {
			return first, nil
		}
		_ = unix.Close(fd)
	}
	return 0, errors.New("no free run of dynamic ports is left")
}
