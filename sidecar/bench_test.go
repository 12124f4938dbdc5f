package sidecar_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// The service "web" of a group, and what Nomad and the driver call its sidecar.
const (
	idPrefix = "_nomad-task-a1-group-g-"
	webID    = idPrefix + "web-http"
	proxyID  = webID + "-sidecar-proxy"
)

// bench is all that a sidecar under test touches. Its parts are wired as the driver
// wires them.
type bench struct {
	t      *testing.T
	consul *fake.Consul
	pool   consul.Pool
	agents consul.Agents
	watch  consul.Watch

	life   sidecar.Spec
	timing sidecar.Timing
	access consul.Config
	own    *mesh.Registration // nil where Nomad registers, or nobody
	nomads *mesh.NomadsRegistration

	wrap        func(sidecar.Member) sidecar.Member   // stands before the member; nil for nothing
	wrapProgram func(sidecar.Program) sidecar.Program // the same
	spread      func() (time.Duration, bool)          // what the operator says; nil for at once
	addresses   *addresses                            // of the machine; nil for what it has
	listens     func() []netip.AddrPort               // where the other tasks listen; nil for not known
	client      *consul.Client                        // of the latest life
	host        string                                // an address of this test alone: nobody else takes its ports
	appAt       int                                   // the port of the local service

	end func() // of the life that was begun last; nil before

	mu     sync.Mutex
	node   node
	events []string
	memory []string // the files that generations share, of all lives
	log    strings.Builder
}

// node is what a sidecar asks of the program around it. Tests exchange it.
type node struct {
	settings  func() (envoy.Settings, error)
	bootstrap func() ([]byte, error) // nil where it is rendered
	tokens    consul.ReadTokens
	changed   func() (bool, error) // nil for whether the token has
}

// newBench registers the parent service "web" and gives it a local port that
// nobody listens on until startApp.
func newBench(t *testing.T, behaviour fake.Behaviour) *bench {
	b := &bench{t: t, consul: fake.StartConsul(t), timing: quick(), host: ownAddress()}
	b.appAt = freePort()
	dir := t.TempDir()
	for _, fifo := range []string{"stdout", "stderr"} {
		must.NoError(t, syscall.Mkfifo(filepath.Join(dir, fifo), 0o600))
	}
	b.consul.Add(&api.AgentServiceRegistration{ID: webID, Name: "web", Address: b.host, Port: b.appAt})
	b.access = consul.Config{Address: b.consul.URL}
	b.own = &mesh.Registration{
		Service:  "web",
		Parent:   &mesh.Parent{IDPrefix: idPrefix},
		Listener: sidecar.Port{Label: "mesh", Address: b.host, Number: freePort()},
		Meta:     map[string]string{"nomad-alloc-id": "a1"},
	}
	b.life = sidecar.Spec{
		Run: sidecar.Run{
			Root: dir, Dir: filepath.Join(dir, "run"), Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"),
			Env: append(fake.EnvoyEnv(t), fake.ListenerVariable+"="+b.own.Listener.HostPort()),
		},
		ReadyTimeout: 10 * time.Second,
		DrainTimeout: 10 * time.Second,
	}
	path := fake.Envoy(t, behaviour)
	b.node = node{
		settings: func() (envoy.Settings, error) { return b.envoyAt(path), nil },
		tokens:   func() (consul.Tokens, error) { return consul.Tokens{Task: b.access.Token}, nil },
	}
	return b
}

// quick is a timing for tests.
func quick() sidecar.Timing {
	t := sidecar.Usual()
	t.ProbeMin, t.ProbeMax = 5*time.Millisecond, 50*time.Millisecond
	t.ReadyMax = 50 * time.Millisecond
	t.RetryMin, t.RetryMax = 20*time.Millisecond, 100*time.Millisecond
	t.Pulse, t.Away, t.Files, t.Config = 200*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	t.Drain, t.Leave, t.StandIn = 50*time.Millisecond, 2*time.Second, time.Second
	t.Keep = 10 * time.Millisecond
	return t
}

// envoyAt are the settings with another binary.
func (b *bench) envoyAt(path string) envoy.Settings {
	return envoy.Settings{Path: path, Concurrency: 1, LogLevel: "info", DrainTimeout: b.life.DrainTimeout}
}

// change exchanges what the sidecar asks for from now on.
func (b *bench) change(how func(*node)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	how(&b.node)
}

func (b *bench) now() node {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.node
}

// renewWith gives the next generations a fake Envoy that behaves otherwise.
func (b *bench) renewWith(behaviour fake.Behaviour) {
	b.renewAt(fake.Envoy(b.t, behaviour))
}

func (b *bench) renewAt(path string) {
	b.change(func(n *node) { n.settings = func() (envoy.Settings, error) { return b.envoyAt(path), nil } })
}

// giveToken puts another token where the sidecar's lies.
func (b *bench) giveToken(token string) {
	b.change(func(n *node) { n.tokens = func() (consul.Tokens, error) { return consul.Tokens{Task: token}, nil } })
}
