package sidecar_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// extra has config entries give all proxies a listener at an address of the bench's own.
func (b *bench) extra(port int) {
	b.consul.SetCentral(map[string]any{"envoy_extra_static_listeners_json": fmt.Sprintf(
		`{"name": "extra", "address": {"socket_address": {"address": %q, "port_value": %d}}}`, b.host, port)})
}

// takePort is somebody else on a port.
func (b *bench) takePort(port int) {
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", b.host, port))
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = l.Close() })
}

const takenExtra = "(envoy_extra_static_listeners_json of Consul's config entry proxy-defaults) is already in use by another process; the entry has every sidecar of the node listen there"

// A port that a config entry gives all proxies is found taken before the program starts.
func TestStaticListeners_start(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	port := freePort()
	b.extra(port)
	b.takePort(port)
	_, err := b.start()
	must.ErrorContains(t, err, fmt.Sprintf("the port %s:%d %s", b.host, port, takenExtra))
	b.clean()
}

// A generation hands its own ports to the next; another one must be free. This holds for
// one that was found again, too.
func TestStaticListeners_hotRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	first, second := freePort(), freePort()
	b.extra(first)
	s := b.startServing()
	b.takePort(first) // as the program itself has it
	b.restarted(s)

	b.takePort(second)
	b.extra(second)
	_, _, err := s.Attempt(t.Context())
	must.ErrorContains(t, err, takenExtra)
	b.extra(first)
	again := b.attach(s.State())
	serves(t, again)
	b.restarted(again)
	b.crashAndMend(again)
	b.destroyed(again)
}

// An address that stands for all of a kind leaves the other kind out.
func TestCheckPortFree_kinds(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp4", "0.0.0.0:0")
	must.NoError(t, err)
	port := sidecar.Port{Address: "0.0.0.0", Number: free.Addr().(*net.TCPAddr).Port}
	l, err := net.Listen("tcp6", fmt.Sprintf("[::]:%d", port.Number))
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	must.NoError(t, free.Close())
	must.NoError(t, sidecar.CheckPortFree(t.Context(), "", port, ""))
	port.Address = "::"
	must.ErrorContains(t, sidecar.CheckPortFree(t.Context(), "", port, "go away"), "is already in use by another process; go away")
	must.NoError(t, l.Close())
	l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port.Number))
	must.NoError(t, err)
	port.Address = "0.0.0.0"
	must.ErrorContains(t, sidecar.CheckPortFree(t.Context(), "", port, "go away"), "is already in use")
}
