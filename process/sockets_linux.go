package process

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Connections counts the TCP connections that somebody has open at a local
// address, in the network namespace of the process. It asks the kernel, which
// also knows of those of a process that no longer answers.
func (p *Process) Connections(local netip.AddrPort) (int, error) {
	open := 0
	for _, table := range []string{"tcp", "tcp6"} {
		n, err := countConnections(fmt.Sprintf("/proc/%d/net/%s", p.ID.PID, table), local)
		if err != nil && !os.IsNotExist(err) { // without IPv6 there is no tcp6
			return 0, err
		}
		open += n
	}
	return open, nil
}

func countConnections(path string, local netip.AddrPort) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	open := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if isConnection(lines.Text(), local) {
			open++
		}
	}
	return open, lines.Err()
}

// Fields of a line of proc_pid_net(5), tcp, and values of its state.
const (
	netLocal = 1
	netState = 3
	netInode = 9

	netListen = "0A"
)

// isConnection tells a connection that a process holds (one without an inode
// is the kernel's alone) at the address from every other socket.
func isConnection(line string, local netip.AddrPort) bool {
	fields := strings.Fields(line)
	if len(fields) <= netInode || fields[netState] == netListen || fields[netInode] == "0" {
		return false
	}
	at, ok := parseNetAddress(fields[netLocal])
	return ok && at.Port() == local.Port() && (local.Addr().IsUnspecified() || at.Addr() == local.Addr().Unmap())
}

// parseNetAddress reads "0100007F:1F90": 32-bit words in the byte order of the
// machine (all that we build for are little-endian), then the port.
func parseNetAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), ok && err == nil
}
