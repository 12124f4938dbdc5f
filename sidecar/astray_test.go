package sidecar_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// addresses are those of a machine, as a test has them.
type addresses struct {
	mu   sync.Mutex
	gone map[netip.Addr]bool
	news chan struct{}
}

func newAddresses(gone ...string) *addresses {
	a := &addresses{gone: map[netip.Addr]bool{}, news: make(chan struct{}, 1)}
	for _, address := range gone {
		a.gone[netip.MustParseAddr(address)] = true
	}
	return a
}

func (a *addresses) Has(address netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.gone[address]
}

func (a *addresses) Follow() (<-chan struct{}, func()) { return a.news, func() {} }

func (a *addresses) set(address string, has bool) {
	a.mu.Lock()
	a.gone[netip.MustParseAddr(address)] = !has
	a.mu.Unlock()
	a.news <- struct{}{}
}

// An address that goes keeps peers away until it is back.
func TestAddress_goes(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.addresses = newAddresses()
	b.wrap = func(m sidecar.Member) sidecar.Member {
		return misplaced{m, sidecar.Address{Network: "tcp", Address: b.own.Listener.HostPort()}}
	}
	s := b.startServing()
	b.addresses.set(b.host, false)
	eventually(t, func() bool { return b.consul.Ready() == "critical" })
	must.Eq(t, "the address "+b.host+", which peers are told, is not on this machine any more", b.consul.Check(proxyID+":ready").Output)
	b.mustSay("Peers are kept away: the address " + b.host)
	b.addresses.set(b.host, true)
	eventually(t, func() bool { return b.consul.Ready() == "passing" })
	b.mustSay("The address " + b.host + ", which peers are told, is on this machine again")
	b.destroyed(s)
}

// An address that comes late is waited for, and that is told.
func TestAddress_comesLate(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.addresses = newAddresses(b.host)
	go func() {
		eventually(t, b.sawEvent("Envoy waits for the address "+b.host+" of port "))
		b.addresses.set(b.host, true)
	}()
	b.destroyed(b.started())

	b = newBench(t, fake.WellBehaved)
	b.addresses, b.life.ReadyTimeout = newAddresses(b.host), 300*time.Millisecond
	_, err := b.start()
	must.ErrorContains(t, err, "is not on this machine, 300ms after the start; has its interface come up?")
	b.clean()
}

// Where peers are told to come somebody must accept connections, before they are.
func TestReady_unreachable(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.life.ReadyTimeout = 3 * time.Second
	elsewhere := sidecar.Address{Network: "tcp", Address: b.host + ":1"}
	b.wrap = func(m sidecar.Member) sidecar.Member { return misplaced{m, elsewhere} }
	s := b.begun()
	isDone(t, s)
	want := "Envoy is not ready after 3s: nobody accepts connections at " + elsewhere.Address + ", where peers are told to come; Envoy listens at " + b.own.Listener.HostPort()
	must.StrHasPrefix(t, want, s.Status().Failure)
	b.destroyed(s)
}

// An app that nobody hears of is told of once, and where the group listens instead.
func TestApp_silent(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.timing.Silence = 100 * time.Millisecond
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(b.appAt))
	b.listens = func() []netip.AddrPort { return []netip.AddrPort{at} }
	s := b.started()
	eventually(t, b.sawEvent("Nobody accepts connections at "+b.app()+", where the local service is to be, 100ms after the start, but the group's tasks listen at "+
		at.String()+`; if that is the service, set local_service_address = "127.0.0.1" in sidecar_service.proxy: peers are kept away until somebody does`))
	b.destroyed(s)
}
