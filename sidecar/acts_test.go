package sidecar_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// What tests do with a bench, and what they see of it.

func (b *bench) start() (*sidecar.Sidecar, error) {
	member, program, host := b.wire()
	s, err := sidecar.Start(b.begin(), b.life, member, program, host)
	if err == nil {
		b.t.Cleanup(func() { _ = s.Destroy(context.Background()) })
	}
	return s, err
}

// begin ends the life before, as when the plugin is killed, and gives another.
func (b *bench) begin() context.Context {
	if b.end != nil {
		b.end()
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	b.end = cancel
	return ctx
}

// started starts one that must start, and waits until it is ready.
func (b *bench) started() *sidecar.Sidecar {
	b.t.Helper()
	before := b.said(" is ready in ")
	s := b.begun()
	eventually(b.t, func() bool { return b.said(" is ready in ") > before })
	return s
}

// begun starts one that must start.
func (b *bench) begun() *sidecar.Sidecar {
	b.t.Helper()
	s, err := b.start()
	must.NoError(b.t, err)
	return s
}

// reachDB gives the proxy an upstream: the app waits until it is ready.
func (b *bench) reachDB() {
	b.own.Proxy.Upstreams = []api.Upstream{{DestinationName: "db", LocalBindAddress: b.host, LocalBindPort: freePort()}}
}

// startServing starts a sidecar whose older generations leave after a second,
// and waits until it serves.
func (b *bench) startServing() *sidecar.Sidecar {
	b.t.Helper()
	b.life.DrainTimeout = time.Second
	b.startApp()
	s := b.started()
	serves(b.t, s)
	return s
}

func serves(t *testing.T, s *sidecar.Sidecar) {
	t.Helper()
	eventually(t, func() bool { return s.Status().Phase == sidecar.Serving })
}

// watched is startServing with the watch of its node, which has seen it then. What
// the watch complains of is given.
func (b *bench) watched() (*sidecar.Sidecar, <-chan error) {
	b.t.Helper()
	client, err := b.pool.Client(b.access, nil)
	must.NoError(b.t, err)
	b.t.Cleanup(client.Close)
	complaints := make(chan error, 10)
	go b.watch.Run(b.t.Context(), client, fake.Node, func(err error) { complaints <- err })
	s := b.startServing()
	eventually(b.t, b.consul.Watched)
	return s, complaints
}

// attach finds a sidecar again, as the next life of the plugin does.
func (b *bench) attach(state sidecar.State) *sidecar.Sidecar {
	b.t.Helper()
	member, program, host := b.wire()
	s, err := sidecar.Attach(b.begin(), b.life, state, member, program, host)
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = s.Destroy(context.Background()) })
	return s
}

// restarted asks for a hot restart and waits until the next generation serves.
func (b *bench) restarted(s *sidecar.Sidecar) {
	b.t.Helper()
	next := s.Status().Epoch + 1
	must.NoError(b.t, s.Signal(syscall.SIGHUP))
	eventually(b.t, func() bool { return s.Status().Epoch == next })
}

// crash kills the generation that serves, which has no successor, and waits until that
// is known.
func (b *bench) crash(s *sidecar.Sidecar) {
	b.t.Helper()
	good := b.now()
	b.renewAt("/nowhere/envoy")
	must.NoError(b.t, s.Signal(syscall.SIGKILL))
	isDone(b.t, s)
	b.change(func(n *node) { *n = good })
}

// crashAndMend kills it, and waits until its successor serves.
func (b *bench) crashAndMend(s *sidecar.Sidecar) {
	b.t.Helper()
	next := s.Status().Epoch + 1
	must.NoError(b.t, s.Signal(syscall.SIGKILL))
	eventually(b.t, b.sawEvent(fmt.Sprintf("after the crash (generation %d,", next)))
	must.Eq(b.t, next, s.Status().Epoch)
}

func isDone(t *testing.T, s *sidecar.Sidecar) {
	t.Helper()
	eventually(t, func() bool {
		select {
		case <-s.Done():
			return true
		default:
			return false
		}
	})
}

// app is where the local service accepts connections.
func (b *bench) app() string { return net.JoinHostPort(b.host, strconv.Itoa(b.appAt)) }

func (b *bench) startApp() {
	app, err := net.Listen("tcp", b.app())
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = app.Close() })
}

// connect opens a connection as a peer does.
func (b *bench) connect() {
	conn, err := net.Dial("tcp", b.own.Listener.HostPort())
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
}

// hang lets a Hung Envoy answer no more.
func (b *bench) hang() {
	must.NoError(b.t, os.WriteFile(filepath.Join(b.life.Run.Dir, fake.HangFile), nil, 0o600))
}

// lose lets Consul lose its data while it is away.
func (b *bench) lose(complaints <-chan error) {
	b.consul.Fail("GET /v1/catalog/", 0)
	<-complaints
	b.consul.LoseData()
	b.consul.Heal()
}

// destroyed destroys a sidecar, of which nothing is left then.
func (b *bench) destroyed(s *sidecar.Sidecar) {
	b.t.Helper()
	must.NoError(b.t, s.Destroy(b.t.Context()))
	b.clean()
}

// clean checks that nothing is left: no registration, no directory, no memory, no
// process.
func (b *bench) clean() {
	b.t.Helper()
	must.Nil(b.t, b.consul.Proxy(), b.story())
	must.DirNotExists(b.t, b.life.Run.Dir)
	b.mu.Lock()
	memory := slices.Clone(b.memory)
	b.mu.Unlock()
	for _, path := range memory {
		must.FileNotExists(b.t, path)
	}
	settings, err := b.now().settings()
	if err != nil {
		return
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must.NoError(b.t, err)
	for _, file := range lines {
		line, _ := os.ReadFile(file)
		must.False(b.t, strings.HasPrefix(string(line), settings.Path+"\x00"), must.Sprintf("%s is still running", file))
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(15*time.Second), wait.Gap(5*time.Millisecond)))
}
