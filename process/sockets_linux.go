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
	return p.connections(func(s netSocket) bool { return s.isAt(local) })
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
	return p.connections(func(s netSocket) bool { return own[s.inode] && slices.ContainsFunc(local, s.isAt) })
}

func (p *Process) connections(wanted func(netSocket) bool) (int, error) {
	open := 0
	err := eachSocket(p.ID.PID, func(s netSocket) {
		if !s.listens && wanted(s) {
			open++
		}
	})
	return open, err
}

// eachSocket goes through the TCP sockets of the network namespace of a process.
func eachSocket(pid int, do func(netSocket)) error {
	for _, table := range []string{"tcp", "tcp6"} {
		err := eachRow(fmt.Sprintf("/proc/%d/net/%s", pid, table), do)
		if err != nil && !os.IsNotExist(err) { // without IPv6 there is no tcp6
			return err
		}
	}
	return nil
}

// eachRow goes through a table. The kernel gives some rows again when the table grows
// while it is read.
func eachRow(path string, do func(netSocket)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	seen := map[uint64]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if s, ok := parseNetSocket(lines.Text()); ok && !seen[s.inode] {
			seen[s.inode] = true
			do(s)
		}
	}
	return lines.Err()
}

// netSocket is one that a process has open.
type netSocket struct {
	local   netip.AddrPort
	inode   uint64
	listens bool // else it is a connection
}

// isAt tells whether it is at an address; an unspecified one, of IPv4 or IPv6, stands
// for all of the machine's.
func (s netSocket) isAt(local netip.AddrPort) bool {
	at := local.Addr().Unmap()
	return s.local.Port() == local.Port() && (at.IsUnspecified() || s.local.Addr() == at)
}

// Fields of a line of proc_pid_net(5), tcp, and values of its state.
const (
	netLocal = 1
	netState = 3
	netInode = 9

	netListen = "0A"
)

// parseNetSocket passes over what is the kernel's alone: it has no inode.
func parseNetSocket(line string) (netSocket, bool) {
	fields := strings.Fields(line)
	if len(fields) <= netInode || fields[netInode] == "0" {
		return netSocket{}, false
	}
	local, ok := parseNetAddress(fields[netLocal])
	inode, err := strconv.ParseUint(fields[netInode], 10, 64)
	return netSocket{local, inode, fields[netState] == netListen}, ok && err == nil
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
