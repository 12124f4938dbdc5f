package sidecar_test

import (
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

const (
	// externalPath is where the bootstrap lies that somebody else wrote.
	externalPath = "secrets/envoy_bootstrap.json"

	// nomadsCheck is Nomad's of the listener of a sidecar.
	nomadsCheck = "service:" + proxyID + ":1"
)

// newExternalBench has a bootstrap that somebody else wrote.
func newExternalBench(t *testing.T, content string) *bench {
	b := newBench(t, fake.WellBehaved)
	b.own = nil
	b.write(content)
	return b
}

func (b *bench) write(content string) {
	b.change(func(n *node) { n.bootstrap = func() ([]byte, error) { return []byte(content), nil } })
}

// native adds the registration that Nomad makes; its check is critical until
// Consul runs it, which takes its time.
func (b *bench) native(mode api.ProxyMode) {
	b.nomads = &mesh.NomadsRegistration{ID: proxyID, Source: externalPath}
	b.consul.Add(&api.AgentServiceRegistration{
		Kind: api.ServiceKindConnectProxy, ID: proxyID, Name: "web-sidecar-proxy", Address: "192.0.2.1", Port: 23456,
		Proxy: &api.AgentServiceConnectProxyConfig{
			DestinationServiceName: "web", DestinationServiceID: webID,
			LocalServiceAddress: b.host, LocalServicePort: b.appAt, Mode: mode,
			Config: map[string]any{"bind_address": b.host, "bind_port": freePort()},
		},
	})
	b.consul.AddCheck(api.AgentCheck{CheckID: nomadsCheck, Name: "Connect Sidecar Listening", ServiceID: proxyID, Status: api.HealthCritical, Type: "tcp"})
}

func TestExternal_native(t *testing.T) {
	t.Parallel()
	b := newExternalBench(t, `{"node": {"id": "`+proxyID+`"}, "dynamic_resources": {"ads_config": {}, "cds_config": {}, "lds_config": {}}}`)
	b.native("")
	s := b.started()
	must.Eq(t, "web", s.Status().Place.Service)
	must.Eq(t, proxyID, s.Status().Place.ID)
	must.Eq(t, "ttl", b.consul.Check(nomadsCheck).Type, must.Sprint("Nomad's would let peers in before the app is there"))
	must.Eq(t, "critical", b.consul.CheckStatus(nomadsCheck))
	must.Eq(t, "critical", b.consul.Ready())
	link, err := filepath.EvalSymlinks(filepath.Join("/proc", strconv.Itoa(s.Status().Process.PID), "fd", "4"))
	must.NoError(t, err)
	must.Eq(t, b.life.Run.Root, link)

	b.startApp()
	eventually(t, func() bool { return b.consul.Ready() == "passing" && b.consul.CheckStatus(nomadsCheck) == "passing" })

	found := b.attach(s.State())
	eventually(t, b.sawEvent("Found Envoy again"))
	b.crash(found)
	must.Eq(t, "critical", b.consul.Ready())
	must.NotNil(t, b.consul.Proxy(), must.Sprint("Nomad's registration stays"))
	must.NoError(t, found.Destroy(t.Context()))
}

func TestExternal_nativeStop(t *testing.T) {
	t.Parallel()
	b := newExternalBench(t, `{"node": {"id": "`+proxyID+`"}}`)
	b.native("")
	b.startApp()
	s := b.started()
	serves(t, s)
	s.Stop(syscall.SIGTERM, 5*time.Second)
	must.Eq(t, "critical", b.consul.Ready(), must.Sprint("peers go elsewhere while the task is restarted"))
	must.NotNil(t, b.consul.Proxy())
}

func TestExternal_static(t *testing.T) {
	t.Parallel()
	b := newExternalBench(t, "node: {id: front-proxy}\nstatic_resources: {}\n")
	b.life.DrainTimeout = time.Second
	s := b.started()
	serves(t, s)
	must.Nil(t, b.consul.Proxy())
	must.Eq(t, "", s.Status().Place.ID)

	b.write("node: {id: front-proxy}\nstats_config: {}\n")
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Generation 0 has left"))
	must.Eq(t, 1, s.Status().Epoch)

	found := b.attach(s.State())
	serves(t, found)
	must.Eq(t, s.Status().Process, found.Status().Process)
	b.destroyed(found)
}

func TestExternal_transparent(t *testing.T) {
	t.Parallel()
	b := newExternalBench(t, `{"node": {"id": "`+proxyID+`"}}`)
	b.native(api.ProxyModeTransparent)
	b.nomads.OwnUser = true
	_, err := b.start()
	must.ErrorContains(t, err, `sidecar_task { user = "101" }`)
}

func TestExternal_wrong(t *testing.T) {
	t.Parallel()
	b := newExternalBench(t, "- a")
	_, err := b.start()
	var invalid *sidecar.InvalidError
	must.True(t, errors.As(err, &invalid))
	must.EqError(t, err, "bootstrap.path: secrets/envoy_bootstrap.json is no bootstrap: it is no object")
	b.clean()
}

// Whose socket a bootstrap names for its admin API hears nothing of it, whatever becomes
// of the sidecar: it could be a neighbour's, that would be drained.
func TestExternal_anothersSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	neighbour, err := net.Listen("unix", path)
	must.NoError(t, err)
	heard := make(chan error, 1)
	go func() {
		_, err := neighbour.Accept()
		heard <- err
	}()
	b := newExternalBench(t, `{"admin": {"address": {"pipe": {"path": "`+path+`"}}}}`)
	b.life.DrainTimeout = time.Second
	s := b.started()
	serves(t, s)
	eventually(t, b.sawEvent("its admin API is at admin.sock in the proxy's own directory, and not at the socket "+path))
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Generation 0 has left"))
	s.Stop(syscall.SIGTERM, 5*time.Second)
	b.destroyed(s)
	must.NoError(t, neighbour.Close())
	must.ErrorIs(t, <-heard, net.ErrClosed)
}
