package process

import (
	"net"
	"net/netip"
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
