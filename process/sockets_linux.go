package process

import (
	"bufio"
	"encoding/hex"
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
	return p.connections(func(c connection) bool { return c.isAt(local) })
}

// Held counts the connections that the process itself has open at local addresses,
// whoever else has some there: its predecessor, its successor.
func (p *Process) Held(local []netip.AddrPort) (int, error) {
	open, err := p.sockets()
	if err != nil {
		return 0, err
	}
	own := make(map[uint64]bool, len(open))
	for _, socket := range open {
		own[socket.inode] = true
	}
	return p.connections(func(c connection) bool { return own[c.inode] && slices.ContainsFunc(local, c.isAt) })
}

func (p *Process) connections(wanted func(connection) bool) (int, error) {
	open := 0
	for _, table := range []string{"tcp", "tcp6"} {
		n, err := countConnections(p.ID.Path("net/"+table), wanted)
		if err != nil && !os.IsNotExist(err) { // without IPv6 there is no tcp6
			return 0, err
		}
		open += n
	}
	return open, nil
}

// countConnections counts the rows of a table for which wanted is true.
func countConnections(path string, wanted func(connection) bool) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	open := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if c, ok := parseConnection(lines.Text()); ok && wanted(c) {
			open++
		}
	}
	return open, lines.Err()
}

// connection is one that a process holds.
type connection struct {
	local netip.AddrPort
	inode uint64
}

// isAt tells whether it came in at an address; an unspecified one, of IPv4 or IPv6,
// stands for all of the machine's.
func (c connection) isAt(local netip.AddrPort) bool {
	at := local.Addr().Unmap()
	return c.local.Port() == local.Port() && (at.IsUnspecified() || c.local.Addr() == at)
}

// Fields of a line of proc_pid_net(5), tcp, and values of its state.
const (
	netLocal = 1
	netState = 3
	netInode = 9

	netListen = "0A"
)

// parseConnection tells a connection that a process holds (one without an inode
// is the kernel's alone) from every other socket.
func parseConnection(line string) (connection, bool) {
	fields := strings.Fields(line)
	if len(fields) <= netInode || fields[netState] == netListen || fields[netInode] == "0" {
		return connection{}, false
	}
	local, ok := parseNetAddress(fields[netLocal])
	inode, err := strconv.ParseUint(fields[netInode], 10, 64)
	return connection{local, inode}, ok && err == nil
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
