package process

import (
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// inNetwork runs the ip command in a namespace.
func inNetwork(t *testing.T, network Network, args ...string) {
	t.Helper()
	must.NoError(t, network.Do(func() error {
		out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
		if err != nil {
			t.Log(string(out))
		}
		return err
	}))
}

// An address that comes or goes is news, and had as long as it is there.
func TestAddresses(t *testing.T) {
	t.Parallel()
	network := withLoopback(t, newNetwork(t))
	addresses := &Addresses{Network: network}
	news, stop := addresses.Follow()
	others, stopOthers := addresses.Follow()
	for _, tc := range []struct{ address, prefix string }{{"192.0.2.7", "/32"}, {"2001:db8::7", "/128"}} {
		ip := netip.MustParseAddr(tc.address)
		must.False(t, addresses.Has(ip))
		inNetwork(t, network, "addr", "add", tc.address+tc.prefix, "dev", "lo")
		awaitNews(t, news)
		awaitNews(t, others)
		must.True(t, addresses.Has(ip))
		must.True(t, addresses.Has(netip.AddrFrom16(ip.As16())), must.Sprint("as IPv6 has it"))
		inNetwork(t, network, "addr", "del", tc.address+tc.prefix, "dev", "lo")
		eventually(t, func() bool { return !addresses.Has(ip) })
		awaitNews(t, news)
	}
	stop()
	stopOthers()
	must.Nil(t, addresses.end, must.Sprint("nobody follows"))
	stop()

	again, stopAgain := addresses.Follow()
	defer stopAgain()
	inNetwork(t, network, "addr", "add", "192.0.2.8/32", "dev", "lo")
	awaitNews(t, again)
}

func awaitNews(t *testing.T, news <-chan struct{}) {
	t.Helper()
	select {
	case <-news:
	case <-time.After(10 * time.Second):
		t.Fatal("no news")
	}
}

// Every machine has some addresses, without a look.
func TestAddresses_always(t *testing.T) {
	t.Parallel()
	var addresses Addresses
	for _, ip := range []string{"0.0.0.0", "::", "127.0.0.1", "127.66.1.1", "::ffff:127.0.0.9", "::1"} {
		must.True(t, addresses.Has(netip.MustParseAddr(ip)), must.Sprint(ip))
	}
	must.False(t, addresses.Has(netip.MustParseAddr("192.0.2.1")))
	must.True(t, (&Addresses{Network: "/nowhere"}).Has(netip.MustParseAddr("192.0.2.1")), must.Sprint("it is not known"))
}

// Where the kernel does not tell, everybody looks now and then.
func TestAddresses_tick(t *testing.T) {
	t.Parallel()
	addresses := &Addresses{Network: "/nowhere"}
	news, stop := addresses.Follow()
	defer stop()
	awaitNews(t, news)
}
