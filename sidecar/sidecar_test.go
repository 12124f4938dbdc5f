package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/consul"
)

// bench is all that a sidecar under test touches.
type bench struct {
	t      *testing.T
	consul *fakeConsul
	watch  consul.Watch
	app    net.Listener // the local service
	spec   Spec

	renewed func(Spec) (Spec, error) // what a hot restart starts with

	mu     sync.Mutex
	events []string
}

// newBench registers the parent service "web" and gives it a local port that
// nobody listens on until startApp.
func newBench(t *testing.T, temper string) *bench {
	b := &bench{t: t, consul: startFakeConsul(t)}
	dir := t.TempDir()
	for _, fifo := range []string{"stdout", "stderr"} {
		must.NoError(t, syscall.Mkfifo(filepath.Join(dir, fifo), 0o600))
	}
	b.consul.add(&api.AgentServiceRegistration{ID: "_nomad-task-a1-group-g-web-http", Name: "web", Address: "127.0.0.1", Port: freePort(t)})
	run := Run{Root: dir, Dir: filepath.Join(dir, "run"), Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr")}
	run.Env = []string{"GORACE=atexit_sleep_ms=0"} // the race detector would keep a fake Envoy for a second after its end
	b.spec = Spec{
		Service:      "web",
		Parent:       &Parent{IDPrefix: "_nomad-task-a1-group-g-"},
		Listener:     Port{Label: "mesh", Address: "127.0.0.1", Number: freePort(t)},
		Meta:         map[string]string{"nomad-alloc-id": "a1"},
		Consul:       consul.Config{Address: b.consul.URL},
		Envoy:        Envoy{Path: envoyNamed(t, temper), Concurrency: 1, LogLevel: "info"},
		Run:          run,
		ReadyTimeout: 10 * time.Second,
		DrainTimeout: 10 * time.Second,
	}
	b.spec.Run.Env = append(b.spec.Run.Env, listenerVariable+"="+b.spec.Listener.HostPort())
	b.renewed = func(spec Spec) (Spec, error) { return spec, nil }
	return b
}

// connect opens a connection as a peer does.
func (b *bench) connect() {
	conn, err := net.Dial("tcp", b.spec.Listener.HostPort())
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
}

func (b *bench) host() Host {
	return Host{Agents: &consul.Agents{}, Watch: &b.watch, Emit: b.emit, Log: hclog.NewNullLogger(), Renew: func(spec Spec) (Spec, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.renewed(spec)
	}}
}

func (b *bench) emit(sentence string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, sentence)
}

func (b *bench) sawEvent(part string) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, e := range b.events {
			if strings.Contains(e, part) {
				return true
			}
		}
		return false
	}
}

func (b *bench) start() (*Sidecar, error) {
	s, err := Start(b.t.Context(), b.spec, b.host())
	if err == nil {
		b.t.Cleanup(func() { _ = s.Destroy(context.Background()) })
	}
	return s, err
}

func (b *bench) startApp() {
	b.consul.mu.Lock()
	parent := b.consul.services["_nomad-task-a1-group-g-web-http"]
	b.consul.mu.Unlock()
	var err error
	b.app, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", parent.Port))
	must.NoError(b.t, err)
	b.t.Cleanup(func() { _ = b.app.Close() })
}

// clean checks that nothing is left: no registration, no directory, no process.
func (b *bench) clean() {
	b.t.Helper()
	must.Nil(b.t, b.consul.proxy())
	must.DirNotExists(b.t, b.spec.Run.Dir)
	must.FileNotExists(b.t, string(b.spec.sharedMemory()))
	for _, link := range must2(filepath.Glob("/proc/[0-9]*/cmdline")) {
		line, _ := os.ReadFile(link)
		must.False(b.t, strings.HasPrefix(string(line), b.spec.Envoy.Path+"\x00"), must.Sprintf("%s is still running", link))
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(10*time.Second), wait.Gap(10*time.Millisecond)))
}

// The life of a sidecar, phase by phase.
func TestSidecar_life(t *testing.T) {
	b := newBench(t, wellBehaved)

	s, err := b.start()
	must.NoError(t, err)
	must.Eq(t, Warming, s.Status().Phase)
	must.Eq(t, "critical", b.consul.ready(), must.Sprint("nobody is routed to it before the app is there"))
	must.Eq(t, fmt.Sprint(s.Status().Process.PID), b.consul.proxy().Meta["proxy-pid"])

	b.startApp()
	eventually(t, func() bool { return s.Status().Phase == Serving })
	must.Eq(t, "passing", b.consul.ready())

	usage, err := s.Usage()
	must.NoError(t, err)
	must.Positive(t, usage.RSS)

	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, Exited, s.Status().Phase)
	must.Eq(t, 0, s.Status().Exit.Code)
	must.Nil(t, b.consul.proxy())

	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
	for _, part := range []string{"Registered web-sidecar-proxy", "Rendered the bootstrap", "is ready in", "Serving", "Stopped"} {
		must.True(t, b.sawEvent(part)(), must.Sprintf("no event says %q", part))
	}
}

func TestSidecar_crash(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.startApp()
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })

	must.NoError(t, s.Signal(syscall.SIGKILL))
	<-s.Done()
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.Eq(t, "critical", b.consul.ready(), must.Sprint("peers know of the crash"))
	must.True(t, b.sawEvent("killed by signal 9 (SIGKILL)")())

	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestSidecar_hangs(t *testing.T) {
	b := newBench(t, wellBehaved)
	s, err := b.start()
	must.NoError(t, err)
	must.NoError(t, s.Signal(syscall.SIGSTOP))
	<-s.Done()
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.True(t, b.sawEvent("Envoy hangs: its admin API has not answered 4 times in a row; it is killed")())
	must.Eq(t, "critical", b.consul.ready())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestSidecar_ignoresSIGTERM(t *testing.T) {
	b := newBench(t, stubborn)
	s, err := b.start()
	must.NoError(t, err)
	s.Stop(syscall.SIGTERM, 300*time.Millisecond)
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// A stop withdraws first, then waits for the connections of peers.
func TestSidecar_drain(t *testing.T) {
	b := newBench(t, busy)
	b.startApp()
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })
	b.connect()
	go s.Stop(syscall.SIGTERM, 10*time.Second)
	eventually(t, b.sawEvent("Draining: 1 connections from peers"))
	must.Eq(t, Draining, s.Status().Phase)
	must.Nil(t, b.consul.proxy(), must.Sprint("withdrawn before anything is refused"))
	<-s.Done()
	must.True(t, b.sawEvent("Drained in")())
	must.Eq(t, 0, s.Status().Exit.Code)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// What Consul loses comes back when its service is there; what Nomad withdraws
// does not.
func TestSidecar_lost(t *testing.T) {
	b := newBench(t, busy)
	b.startApp()
	client, err := consul.New(consul.Config{Address: b.consul.URL})
	must.NoError(t, err)
	go b.watch.Run(t.Context(), client, "node", func(error) {})
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })
	eventually(t, b.consul.watched) // so that the watch has seen the sidecar

	b.consul.remove(s.Status().ProxyID)
	eventually(t, b.sawEvent("Withdrawn from Consul: connections from peers are told to leave"))
	eventually(t, b.sawEvent("Registered again"))
	must.Eq(t, Serving, s.Status().Phase)
	must.Eq(t, "passing", b.consul.ready())
	eventually(t, b.consul.watched)

	parent := "_nomad-task-a1-group-g-web-http"
	b.consul.remove(s.Status().ProxyID)
	b.consul.remove(parent)
	eventually(t, func() bool { return s.Status().Phase == Draining })
	again := b.consul.reads(parent) + 2
	eventually(t, func() bool { return b.consul.reads(parent) >= again })
	must.Nil(t, b.consul.proxy(), must.Sprint("its service is gone, too"))
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestSidecar_drainWithoutEnd(t *testing.T) {
	b := newBench(t, clinging)
	s, err := b.start()
	must.NoError(t, err)
	b.connect()
	s.Stop(syscall.SIGTERM, 5*time.Second)
	must.True(t, b.sawEvent("Not drained: 1 connections from peers are still open after")())
	must.Eq(t, 0, s.Status().Exit.Code, must.Sprint("there was time left for SIGTERM"))
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestSidecar_recovered(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.startApp()
	first, err := b.start()
	must.NoError(t, err)

	again, err := Attach(t.Context(), b.spec, first.State(), b.host())
	must.NoError(t, err)
	eventually(t, func() bool { return again.Status().Phase == Serving })
	must.True(t, b.sawEvent("Found Envoy again")())
	must.NoError(t, again.Destroy(t.Context()))
	must.Eq(t, syscall.SIGKILL, again.Status().Exit.Signal)
	b.clean()
}

func TestSidecar_recoveredTooLate(t *testing.T) {
	b := newBench(t, wellBehaved)
	first, err := b.start()
	must.NoError(t, err)
	state := first.State()
	must.NoError(t, first.Signal(syscall.SIGKILL))
	<-first.Done()

	again, err := Attach(t.Context(), b.spec, state, b.host())
	must.NoError(t, err)
	<-again.Done()
	must.True(t, again.Status().Exit.Unobserved)
	must.NoError(t, again.Destroy(t.Context()))
	b.clean()
}

// A handle that Nomad kept of a task that was destroyed.
func TestSidecar_forgotten(t *testing.T) {
	b := newBench(t, wellBehaved)
	first, err := b.start()
	must.NoError(t, err)
	must.NoError(t, first.Destroy(t.Context()))
	_, err = Attach(t.Context(), b.spec, first.State(), b.host())
	must.ErrorIs(t, err, ErrForgotten)
	b.clean()
}

// An Envoy of this task that nobody knows any more is ended before the next one.
func TestSidecar_orphan(t *testing.T) {
	b := newBench(t, wellBehaved)
	lost, err := b.start()
	must.NoError(t, err)
	next, err := b.start()
	must.NoError(t, err)
	<-lost.Done()
	must.Eq(t, syscall.SIGKILL, lost.Status().Exit.Signal)
	must.True(t, b.sawEvent(fmt.Sprintf("Ended an Envoy of an earlier run (pid %d)", lost.Status().Process.PID))())
	must.NotEq(t, lost.Status().Process, next.Status().Process)
}

func TestStart_secondSidecar(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.spec.Meta = map[string]string{metaTask: "one"}
	_, err := b.start()
	must.NoError(t, err)
	other := b.spec
	other.Meta = map[string]string{metaTask: "two"}
	other.Listener.Number = freePort(t)
	other.Run.Dir += "-two"
	_, err = Start(t.Context(), other, b.host())
	must.EqError(t, err, `service: the task "one" of this group is the sidecar of "web" already`)
	must.NotNil(t, b.consul.proxy(), must.Sprint("the first one keeps its registration"))
}

// Whatever step of a start fails: the error says what and nothing is left.
func TestStart_fails(t *testing.T) {
	taken := func(b *bench) {
		l, err := net.Listen("tcp", b.spec.Listener.HostPort())
		must.NoError(b.t, err)
		b.t.Cleanup(func() { _ = l.Close() })
	}
	plainFile := func(b *bench) {
		b.spec.Envoy.Path = filepath.Join(b.t.TempDir(), "envoy")
		must.NoError(b.t, os.WriteFile(b.spec.Envoy.Path, []byte("envoy"), 0o644))
	}
	for _, tc := range []struct {
		name     string
		temper   string
		sabotage func(*bench)
		want     string
		final    bool
	}{
		{"envoy is another program", notEnvoy, nil, `is not an Envoy: ` + "`--version`" + ` prints "GNU something 1.0"`, false},
		{"envoy is missing", wellBehaved, func(b *bench) { b.spec.Envoy.Path = "/nowhere/envoy" }, "/nowhere/envoy: no such file or directory; install Envoy", false},
		{"envoy is not executable", wellBehaved, plainFile, "is not an executable file", false},
		{"consul is away", wellBehaved, func(b *bench) { b.consul.Close() }, "is the agent running, and is that its address?", false},
		{"service is another", wellBehaved, func(b *bench) { b.spec.Service = "wbe" }, `service: the group has no service "wbe"; it has: "web"`, true},
		{"public port is taken", wellBehaved, taken, "(mesh) is already in use by another process", false},
		{"run directory", wellBehaved, func(b *bench) { b.spec.Run.Dir = "/proc/connect" }, "make the run directory", false},
		{"registration", wellBehaved, func(b *bench) { b.consul.fail("PUT /v1/agent/service/register") }, "register _nomad-task", false},
		{"inputs", wellBehaved, func(b *bench) { b.consul.fail("GET /v1/agent/service/_nomad") }, "read the registration", false},
		{"bootstrap", wellBehaved, func(b *bench) { b.spec.Proxy.Config = map[string]any{"envoy_statsd_url": "udp://x"} }, `sidecar_service.proxy.config.envoy_statsd_url: "udp://x" is not an address`, true},
		{"bootstrap of a config entry", wellBehaved, func(b *bench) { b.consul.central = map[string]any{"envoy_statsd_url": "udp://x"} }, `render the bootstrap: proxy config key "envoy_statsd_url": "udp://x" is not an address`, false},
		{"Envoy's own JSON", dying, func(b *bench) { b.spec.Proxy.Config = map[string]any{"Envoy_Tracing_JSON": "{}"} }, `sidecar_service.proxy.config.Envoy_Tracing_JSON: Envoy refuses the bootstrap with it: error initializing configuration '/dev/fd/3': no such field: 'x'`, true},
		{"Envoy's own JSON of a config entry", dying, func(b *bench) { b.consul.central = map[string]any{"envoy_tracing_json": "{}"} }, `Envoy refuses the bootstrap with "envoy_tracing_json", which Consul's config entries have a part in: error`, false},
		{"log", wellBehaved, func(b *bench) { b.spec.Run.Stderr = "/nowhere/fifo" }, "open the task's log", false},
		{"envoy dies", dying, nil, "Envoy exited with status 3 before it was ready; it refuses the bootstrap: error initializing configuration", false},
		{"no xDS", alone, nil, "Envoy is not ready after 400ms: Envoy has no xDS connection to the Consul agent at http://127.0.0.1:8502", false},
		{"listeners refused", picky, nil, "Envoy refused a listener that Consul sent: cannot bind '127.0.0.1:9191'", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.temper)
			if tc.temper == alone || tc.temper == picky {
				b.spec.ReadyTimeout = 400 * time.Millisecond
			}
			if tc.sabotage != nil {
				tc.sabotage(b)
			}
			_, err := b.start()
			must.ErrorContains(t, err, tc.want)
			var invalid *InvalidError
			if tc.final {
				must.ErrorAs(t, err, &invalid)
			} else {
				must.False(t, errors.As(err, &invalid))
			}
			b.clean()
		})
	}
}

func TestStart_withoutSharedMemory(t *testing.T) {
	b := newBench(t, wellBehaved)
	occupied := filepath.Join(string(b.spec.sharedMemory()), "by a directory")
	must.NoError(t, os.MkdirAll(occupied, 0o700))
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(occupied)) })
	_, err := b.start()
	must.ErrorContains(t, err, "remove the memory that Envoys share for hot restarts")
	must.NoError(t, os.RemoveAll(filepath.Dir(occupied)))
	b.clean()
}

func TestStart_parentWithdrawn(t *testing.T) {
	b := newBench(t, alone)
	go func() {
		eventually(t, func() bool { return b.consul.proxy() != nil })
		b.consul.mu.Lock()
		defer b.consul.mu.Unlock()
		delete(b.consul.services, "_nomad-task-a1-group-g-web-http")
	}()
	_, err := b.start()
	must.ErrorContains(t, err, `the service "web" was withdrawn`)
	b.clean()
}

// A Consul that accepts connections and never answers takes neither the time
// that Envoy has to end, nor the news of its end.
func TestSidecar_consulHangs(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.startApp()
	s, err := b.start()
	must.NoError(t, err)
	eventually(t, func() bool { return s.Status().Phase == Serving })
	b.consul.hang(t)

	began := time.Now()
	s.Stop(syscall.SIGTERM, 4*time.Second)
	must.Less(t, 4*time.Second, time.Since(began))
	must.Eq(t, 0, s.Status().Exit.Code, must.Sprint("Envoy had time to end by itself"))
	must.True(t, b.sawEvent("could not withdraw it")())
}
