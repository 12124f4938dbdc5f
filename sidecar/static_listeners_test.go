package sidecar_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// extra has config entries give all proxies a listener at an address of the bench's own.
func (b *bench) extra(port int) { b.extraAt(b.host, port) }

func (b *bench) extraAt(address string, port int) {
	b.consul.SetCentral(map[string]any{"envoy_extra_static_listeners_json": fmt.Sprintf(
		`{"name": "extra", "address": {"socket_address": {"address": %q, "port_value": %d}}}`, address, port)})
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

// A port that moves to another address is still the generation's own; who else has it there
// has it all the same.
func TestStaticListeners_otherAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	port := freePort()
	b.extra(port)
	s := b.startServing()
	listenFor(t, b.host, port, b.life.Run.User) // as the program itself does
	b.extraAt("0.0.0.0", port)
	why, _, err := s.Attempt(t.Context())
	must.NoError(t, err)
	must.NotEq(t, "", why)

	if os.Geteuid() == 0 {
		listenFor(t, ownAddress(), port, process.User{Name: "another", UID: 81014, GID: 81014, Switch: true})
		_, _, err = s.Attempt(t.Context())
		must.ErrorContains(t, err, takenExtra)
	}
	b.destroyed(s)
}

// An address that stands for all of a kind leaves the other kind out.
func TestCheckPortFree_kinds(t *testing.T) {
	t.Parallel()
	eventually(t, func() bool { // other tests have ports of some addresses
		l, err := net.Listen("tcp6", "[::]:0")
		must.NoError(t, err)
		defer func() { _ = l.Close() }()
		port := sidecar.Port{Address: "::", Number: l.Addr().(*net.TCPAddr).Port}
		must.ErrorContains(t, sidecar.CheckPortFree(t.Context(), "", port, "go away"), "is already in use by another process; go away")
		port.Address = "0.0.0.0"
		return sidecar.CheckPortFree(t.Context(), "", port, "") == nil
	})
}

// Of a bootstrap that somebody else wrote a port is found taken, too, but for those that
// listen there as the same user to share it.
func TestStaticListeners_external(t *testing.T) {
	t.Parallel()
	bootstrap := func(b *bench, port int) string {
		return fmt.Sprintf(`{"node": {"id": "x"}, "staticResources": {"listeners": [{"name": "envoy_metrics_listener", "address": {"socketAddress": {"address": %q, "portValue": %d}}}]}}`, b.host, port)
	}
	b := newExternalBench(t, "{}")
	port := freePort()
	b.write(bootstrap(b, port))
	b.takePort(port)
	_, err := b.start()
	must.ErrorContains(t, err, fmt.Sprintf(`the port %s:%d (the listener "envoy_metrics_listener" of %s) is already in use by another process; give each Envoy of a node another port there: it is envoy_stats_bind_addr of the job's proxy.config, or of Consul's config entry proxy-defaults`, b.host, port, externalPath))
	b.clean()

	b.write(fmt.Sprintf(`{"admin": {"address": {"socket_address": {"address": %q, "port_value": %d}}}}`, b.host, port))
	_, err = b.start()
	must.ErrorContains(t, err, fmt.Sprintf("the port %s:%d (the admin API of %s) is already in use by another process; give each Envoy of a node another port there, or none", b.host, port, externalPath))
	b.clean()

	shared := listenFor(t, b.host, 0, b.life.Run.User)
	b.write(bootstrap(b, int(shared.Port())))
	b.destroyed(b.started())
}
