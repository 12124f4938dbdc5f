package sidecar

import (
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
)

// Nomad's registration of a sidecar, and its check of the listener.
const (
	nativeProxy = "_nomad-task-a1-group-g-web-http-sidecar-proxy"
	nativeCheck = "service:" + nativeProxy + ":1"
)

// newGivenBench has a bootstrap that somebody else wrote.
func newGivenBench(t *testing.T, content string) *bench {
	b := newBench(t, wellBehaved)
	b.spec.Service, b.spec.Listener, b.spec.Meta = "", Port{}, nil
	b.spec.Run.AllocDir = t.TempDir()
	b.spec.BootstrapPath, b.spec.Bootstrap = "secrets/envoy_bootstrap.json", []byte(content)
	return b
}

// native adds the registration that Nomad makes; its check is critical until
// Consul runs it, which takes its time.
func (b *bench) native(listener int) {
	b.consul.add(&api.AgentServiceRegistration{
		Kind: api.ServiceKindConnectProxy, ID: nativeProxy, Name: "web-sidecar-proxy", Address: "192.0.2.1", Port: 23456,
		Proxy: &api.AgentServiceConnectProxyConfig{
			DestinationServiceName: "web", DestinationServiceID: "_nomad-task-a1-group-g-web-http",
			LocalServicePort: b.consul.services["_nomad-task-a1-group-g-web-http"].Port,
			Config:           map[string]any{"bind_address": "127.0.0.1", "bind_port": listener},
		},
	})
	b.consul.setCheck(nativeCheck, api.HealthCritical)
	b.consul.types[nativeCheck] = "tcp"
}

func TestGiven_native(t *testing.T) {
	b := newGivenBench(t, `{"node": {"id": "`+nativeProxy+`"}, "dynamic_resources": {"ads_config": {}, "cds_config": {}, "lds_config": {}}}`)
	b.native(freePort(t))
	s, err := b.start()
	must.NoError(t, err)
	must.Eq(t, "web", s.Spec().Service)
	must.Eq(t, nativeProxy, s.Status().ProxyID)
	must.Eq(t, "", b.consul.check(nativeCheck), must.Sprint("it would let peers in before the app is there"))
	must.Eq(t, "critical", b.consul.ready())
	link, err := filepath.EvalSymlinks(filepath.Join("/proc", strconv.Itoa(s.Status().Process.PID), "fd", "4"))
	must.NoError(t, err)
	must.Eq(t, b.spec.Run.AllocDir, link)

	b.startApp()
	eventually(t, func() bool { return b.consul.ready() == "passing" })

	found, err := Attach(t.Context(), s.Spec(), s.State(), b.host())
	must.NoError(t, err)
	eventually(t, b.sawEvent("Found Envoy again"))
	must.NoError(t, syscall.Kill(found.Status().Process.PID, syscall.SIGKILL))
	<-found.Done()
	<-s.Done()
	must.Eq(t, "critical", b.consul.ready())
	must.NotNil(t, b.consul.proxy(), must.Sprint("Nomad's registration stays"))
	must.NoError(t, found.Destroy(t.Context()))
}

func TestGiven_nativeStop(t *testing.T) {
	b := newGivenBench(t, `{"node": {"id": "`+nativeProxy+`"}}`)
	b.native(freePort(t))
	b.startApp()
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })
	s.Stop(syscall.SIGTERM, 5*time.Second)
	must.Eq(t, "critical", b.consul.ready(), must.Sprint("peers go elsewhere while the task is restarted"))
	must.NotNil(t, b.consul.proxy())
}

func TestGiven_static(t *testing.T) {
	b := newGivenBench(t, "node: {id: front-proxy}\nstatic_resources: {}\n")
	b.spec.DrainTimeout = time.Second
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })
	must.Nil(t, b.consul.proxy())
	must.Eq(t, "", s.Status().ProxyID)

	b.renewed = func(spec Spec) (Spec, error) {
		spec.Bootstrap = []byte("node: {id: front-proxy}\nstats_config: {}\n")
		return spec, nil
	}
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Generation 0 has left"))
	must.Eq(t, 1, s.Status().Epoch)

	found, err := Attach(t.Context(), s.Spec(), s.State(), b.host())
	must.NoError(t, err)
	eventually(t, func() bool { return found.Status().Phase == Serving })
	must.Eq(t, s.Status().Process, found.Status().Process)
	must.NoError(t, s.Destroy(t.Context()))
	must.NoError(t, found.Destroy(t.Context()))
	b.clean()
}

func TestGiven_transparent(t *testing.T) {
	b := newGivenBench(t, `{"node": {"id": "`+nativeProxy+`"}}`)
	b.native(freePort(t))
	b.consul.services[nativeProxy].Proxy.Mode = api.ProxyModeTransparent
	b.spec.Run.OwnUser = true
	_, err := b.start()
	must.ErrorContains(t, err, `sidecar_task { user = "101" }`)
}

func TestGiven_wrong(t *testing.T) {
	b := newGivenBench(t, "- a")
	_, err := b.start()
	var invalid *InvalidError
	must.ErrorAs(t, err, &invalid)
	must.EqError(t, err, "bootstrap.path: secrets/envoy_bootstrap.json is no bootstrap: it is no object")
	b.clean()
}
