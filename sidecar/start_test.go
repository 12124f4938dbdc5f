package sidecar_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// failing is a start that does not succeed.
type failing struct {
	name      string
	behaviour fake.Behaviour
	sabotage  func(*bench)
	want      string
	final     bool // the user's mistake
}

// Whatever step of a start fails: the error says what and nothing is left.
func TestStart_fails(t *testing.T) {
	t.Parallel()
	taken := func(b *bench) {
		l, err := net.Listen("tcp", b.own.Listener.HostPort())
		must.NoError(b.t, err)
		b.t.Cleanup(func() { _ = l.Close() })
	}
	plainFile := func(b *bench) {
		path := filepath.Join(b.t.TempDir(), "envoy")
		must.NoError(b.t, os.WriteFile(path, []byte("envoy"), 0o644))
		b.renewAt(path)
	}
	config := func(key, value string) func(*bench) {
		return func(b *bench) { b.own.Proxy.Config = map[string]any{key: value} }
	}
	central := func(key, value string) func(*bench) {
		return func(b *bench) { b.consul.SetCentral(map[string]any{key: value}) }
	}
	refuses := func(part string) func(*bench) {
		return func(b *bench) { b.consul.Fail(part, http.StatusInternalServerError) }
	}
	for _, tc := range []failing{
		{"envoy is another program", fake.Impostor, nil, `is not an Envoy: ` + "`--version`" + ` prints "GNU something 1.0"`, false},
		{"envoy is missing", fake.WellBehaved, func(b *bench) { b.renewAt("/nowhere/envoy") }, "/nowhere/envoy: no such file or directory; install Envoy", false},
		{"envoy is not executable", fake.WellBehaved, plainFile, "is not an executable file", false},
		{"consul is away", fake.WellBehaved, func(b *bench) { b.consul.Close() }, "is the agent running, and is that its address?", false},
		{"service is another", fake.WellBehaved, func(b *bench) { b.own.Service = "wbe" }, `service: the group has no service "wbe"; it has: "web"`, true},
		{"public port is taken", fake.WellBehaved, taken, "(mesh) is already in use by another process", false},
		{"run directory", fake.WellBehaved, func(b *bench) { b.life.Run.Dir = "/proc/connect" }, "make the run directory", false},
		{"registration", fake.WellBehaved, refuses("PUT /v1/agent/service/register"), "register _nomad-task", false},
		{"look before the registration", fake.WellBehaved, refuses("GET /v1/agent/service/_nomad"), "read the registration", false},
		{"inputs", fake.WellBehaved, refuses("GET /v1/config/"), "read proxy-defaults", false},
		{"process in the registration", fake.WellBehaved, refuses("PUT /v1/agent/check/update/"), "set the check _nomad-task", false},
		{"bootstrap", fake.WellBehaved, config("envoy_statsd_url", "udp://x"), `sidecar_service.proxy.config.envoy_statsd_url: "udp://x" is not an address`, true},
		{"bootstrap of a config entry", fake.WellBehaved, central("envoy_statsd_url", "udp://x"), `render the bootstrap: proxy config key "envoy_statsd_url": "udp://x" is not an address`, false},
		{"Envoy's own JSON", fake.Dying, config("Envoy_Tracing_JSON", "{}"), `sidecar_service.proxy.config.Envoy_Tracing_JSON: Envoy refuses the bootstrap with it: error initializing configuration '/dev/fd/3': no such field: 'x'`, true},
		{"Envoy's own JSON of a config entry", fake.Dying, central("envoy_tracing_json", "{}"), `Envoy refuses the bootstrap with "envoy_tracing_json", which Consul's config entries have a part in: error`, false},
		{"log", fake.WellBehaved, func(b *bench) { b.life.Run.Stderr = "/nowhere/fifo" }, "open the task's log", false},
		{"envoy dies", fake.Dying, nil, "Envoy exited with status 3 before it was ready; it refuses the bootstrap: error initializing configuration", false},
		{"no xDS", fake.Alone, nil, "Envoy is not ready after 2s: Envoy has no xDS connection to the Consul agent at http://127.0.0.1:8502", false},
		{"listeners refused", fake.Picky, nil, "Envoy refused a listener that Consul sent: cannot bind '127.0.0.1:9191'", false},
	} {
		t.Run(tc.name, tc.run)
	}
}

func (tc failing) run(t *testing.T) {
	t.Parallel()
	b := newBench(t, tc.behaviour)
	b.reachDB()
	if tc.behaviour == fake.Alone || tc.behaviour == fake.Picky {
		b.life.ReadyTimeout = 2 * time.Second
	}
	if tc.sabotage != nil {
		tc.sabotage(b)
	}
	_, err := b.start()
	must.ErrorContains(t, err, tc.want)
	var invalid *sidecar.InvalidError
	must.Eq(t, tc.final, errors.As(err, &invalid))
	b.clean()
}

func TestStart_withoutSharedMemory(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.destroyed(b.started())
	memory := b.memory[0] // which the same directory asks for again
	must.NoError(t, os.MkdirAll(filepath.Join(memory, "by a directory"), 0o700))
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	_, err := b.start()
	must.ErrorContains(t, err, "remove the memory that Envoys share for hot restarts")
	must.NoError(t, os.RemoveAll(memory))
	b.clean()
}

func TestStart_parentWithdrawn(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Alone)
	b.reachDB()
	go func() {
		eventually(t, func() bool { _, err := os.Stat(filepath.Join(b.life.Run.Dir, "begun-0")); return err == nil })
		again := b.consul.Reads(proxyID) + 4 // two looks of two each: Envoy was asked in between
		eventually(t, func() bool { return b.consul.Reads(proxyID) >= again })
		b.consul.Remove(webID)
		b.consul.Remove(proxyID)
	}()
	_, err := b.start()
	must.ErrorContains(t, err, "gave up before Envoy was ready: Withdrawn from Consul; Envoy has no xDS connection")
	b.clean()
}
