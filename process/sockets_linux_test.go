package process

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

func TestConnections(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			listener, err := net.Listen("tcp", address)
			must.NoError(t, err)
			defer func() { _ = listener.Close() }()
			local := listener.Addr().(*net.TCPAddr).AddrPort()
			p := startShell(t, "sleep 300")
			count := func(at netip.AddrPort) int {
				n, err := p.Connections(at)
				must.NoError(t, err)
				return n
			}
			must.Eq(t, 0, count(local), must.Sprint("one that listens is no connection"))

			peer, err := net.Dial("tcp", listener.Addr().String())
			must.NoError(t, err)
			defer func() { _ = peer.Close() }()
			conn, err := listener.Accept()
			must.NoError(t, err)
			must.Eq(t, 1, count(local))
			must.Eq(t, 1, count(netip.AddrPortFrom(netip.IPv4Unspecified(), local.Port())))
			must.Eq(t, 0, count(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), local.Port())))
			must.NoError(t, conn.Close())
			eventually(t, func() bool { return count(local) == 0 })
		})
	}
}

// A socket that listens on all of IPv6 has the connections of IPv4, too. (In a namespace
// where nobody else has the port.)
func TestConnections_mapped(t *testing.T) {
	t.Parallel()
	network := withLoopback(t, newNetwork(t))
	var listener net.Listener
	var local netip.AddrPort
	must.NoError(t, network.Do(func() (err error) {
		if listener, err = net.Listen("tcp", "[::]:0"); err != nil {
			return err
		}
		local = listener.Addr().(*net.TCPAddr).AddrPort()
		peer, err := net.Dial("tcp4", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), local.Port()).String())
		t.Cleanup(func() { _ = peer.Close() })
		return err
	}))
	defer func() { _ = listener.Close() }()
	conn, err := listener.Accept()
	must.NoError(t, err)
	defer func() { _ = conn.Close() }()
	p := startShellIn(t, network, "sleep 300")
	for _, at := range []string{"::", "0.0.0.0", "::ffff:0.0.0.0", "127.0.0.1", "::ffff:127.0.0.1"} {
		n, err := p.Connections(netip.AddrPortFrom(netip.MustParseAddr(at), local.Port()))
		must.NoError(t, err)
		must.Eq(t, 1, n, must.Sprint(at))
	}
}

// Of the connections at an address, each process is told its own.
func TestHeld(t *testing.T) {
	t.Parallel()
	p, listeners := startListener(t)
	local, err := netip.ParseAddrPort(listeners[0])
	must.NoError(t, err)
	other := startShell(t, "sleep 300")
	at := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), local}
	held := func(p *Process, want int) func() bool {
		return func() bool {
			n, err := p.Held(at)
			must.NoError(t, err)
			return n == want
		}
	}
	must.True(t, held(p, 0)())
	for i := range 3 {
		conn, err := net.Dial("tcp", listeners[0])
		must.NoError(t, err)
		defer func() { _ = conn.Close() }()
		eventually(t, held(p, i+1))
	}
	must.True(t, held(other, 0)())
	all, err := p.Held([]netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), local.Port())})
	must.NoError(t, err)
	must.Eq(t, 3, all)
	none, err := p.Held(nil)
	must.NoError(t, err)
	must.Zero(t, none)

	must.NoError(t, p.Signal(syscall.SIGKILL))
	<-p.Done()
	_, err = p.Held(at)
	must.ErrorIs(t, err, os.ErrProcessDone)
}

// A table that grew while it was read gives some rows twice; a socket is one.
func TestEachRow_again(t *testing.T) {
	t.Parallel()
	const row = "   1: 0142427F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 20 4 30 10 -1\n"
	table := filepath.Join(t.TempDir(), "tcp")
	must.NoError(t, os.WriteFile(table, fmt.Appendf(nil, "  sl  local_address …\n"+row+row+row, 4711, 4712, 4711), 0o600))
	var inodes []uint64
	must.NoError(t, eachRow(table, func(s netSocket) { inodes = append(inodes, s.inode) }))
	must.Eq(t, []uint64{4711, 4712}, inodes)
}
