package agents

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Listener is a socket on which somebody in this network namespace accepts connections.
type Listener struct {
	Network string // tcp, unix
	Address string // "127.0.0.1:80", "/a/path", "@abstract"
	Inode   string
}

// Listeners are all of them.
func Listeners() ([]Listener, error) {
	var all []Listener
	for _, table := range []struct {
		file string
		read func(fields []string) (Listener, bool)
	}{
		{"/proc/net/tcp", tcpListener},
		{"/proc/net/tcp6", tcpListener},
		{"/proc/net/unix", unixListener},
	} {
		f, err := os.Open(table.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if l, ok := table.read(strings.Fields(lines.Text())); ok {
				all = append(all, l)
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tcpListener reads "sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode".
func tcpListener(fields []string) (Listener, bool) {
	const listening = "0A"
	if len(fields) < 10 || fields[3] != listening {
		return Listener{}, false
	}
	address, port, _ := strings.Cut(fields[1], ":")
	raw, err := hex.DecodeString(address)
	number, portErr := hex.DecodeString(port)
	if err != nil || portErr != nil || len(number) != 2 {
		return Listener{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 { // words, in the order of the machine
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return Listener{"tcp", netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(number)).String(), fields[9]}, ok
}

// unixListener reads "Num RefCount Protocol Flags Type St Inode Path".
func unixListener(fields []string) (Listener, bool) {
	const accepts = "00010000"
	if len(fields) < 8 || fields[3] != accepts {
		return Listener{}, false
	}
	return Listener{"unix", fields[7], fields[6]}, true
}

// ListenersOf are those that some processes have.
func ListenersOf(pids []int) ([]Listener, error) {
	all, err := Listeners()
	if err != nil {
		return nil, err
	}
	var theirs []string
	for _, pid := range pids {
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, link := range links {
			target, _ := os.Readlink(link)
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				theirs = append(theirs, strings.TrimSuffix(inode, "]"))
			}
		}
	}
	return slices.DeleteFunc(all, func(l Listener) bool { return !slices.Contains(theirs, l.Inode) }), nil
}
