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
	err := p.eachConnection(func(at netip.AddrPort, _ string) {
		if covers(local, at) {
			open++
		}
	})
	return open, err
}

// covers tells whether a connection at an address came in at the place where somebody
// listens.
func covers(listens, at netip.AddrPort) bool {
	return at.Port() == listens.Port() && (listens.Addr().IsUnspecified() || at.Addr() == listens.Addr().Unmap())
}

// eachConnection gives the connections in the network namespace of the process that some
// process has open.
func (p *Process) eachConnection(visit func(local netip.AddrPort, inode string)) error {
	for _, table := range []string{"tcp", "tcp6"} {
		err := visitConnections(fmt.Sprintf("/proc/%d/net/%s", p.ID.PID, table), visit)
		if err != nil && !os.IsNotExist(err) { // without IPv6 there is no tcp6
			return err
		}
	}
	return nil
}

func visitConnections(path string, visit func(local netip.AddrPort, inode string)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if at, inode, ok := connectionIn(lines.Text()); ok {
			visit(at, inode)
		}
	}
	return lines.Err()
}

// Fields of a line of proc_pid_net(5), tcp, and values of its state.
const (
	netLocal = 1
	netState = 3
	netInode = 9

	netListen = "0A"
)

// connectionIn tells a connection that a process holds (one without an inode is the
// kernel's alone) from every other socket.
func connectionIn(line string) (local netip.AddrPort, inode string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) <= netInode || fields[netState] == netListen || fields[netInode] == "0" {
		return netip.AddrPort{}, "", false
	}
	local, ok = parseNetAddress(fields[netLocal])
	return local, fields[netInode], ok
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
