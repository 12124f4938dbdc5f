package mesh

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

const (
	groupPrefix = "_nomad-task-a1-group-g-"
	webID       = groupPrefix + "web-http"
	webProxyID  = webID + proxySuffix
	webReadyID  = webProxyID + ":ready"
)

var opened = sidecar.Standing{Process: process.Identity{PID: 7, StartTime: 9, BootID: "b"}, Open: true}

// world is a node with a fake Consul, on which Nomad has registered web.
type world struct {
	t      *testing.T
	consul *fake.Consul
	watch  consul.Watch

	mu     sync.Mutex
	events []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, consul: fake.StartConsul(t)}
	w.register("web")
	return w
}

// register is what Nomad does with a service of the group.
func (w *world) register(name string, checks ...*api.AgentServiceCheck) {
	w.consul.Add(&api.AgentServiceRegistration{ID: groupPrefix + name + "-http", Name: name, Address: "127.0.0.1", Port: 8080, Checks: checks})
}

func (w *world) node() Node {
	client, err := consul.New(consul.Config{Address: w.consul.URL})
	must.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	emit := func(sentence string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, sentence)
	}
	return Node{Consul: client, Watch: &w.watch, Emit: emit, DataDir: func(ctx context.Context) (string, error) {
		info, err := client.Info(ctx)
		return info.DataDir, err
	}}
}

// asked counts the requests of members so far.
func (w *world) asked() int {
	return w.consul.Requests() - w.consul.Requests("GET /v1/catalog/node-services/{node}", "GET /v1/health/node/{node}", "GET /v1/config/"+api.ProxyDefaults)
}

// watched has the watch of the node run, and waits until it has seen the services.
func (w *world) watched() {
	node := w.node()
	go w.watch.Run(w.t.Context(), node.Consul, fake.Node, func(error) {})
	eventually(w.t, func() bool { return w.consul.Watched() && w.consul.HealthWatched() })
}

func (w *world) said(part string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(strings.Join(w.events, "\n"), part)
}

// joined is web's sidecar in Consul, closed.
func (w *world) joined() *Own {
	w.t.Helper()
	o := NewOwn(regWeb(), w.node())
	at, err := o.Join(w.t.Context())
	must.NoError(w.t, err)
	must.Eq(w.t, webProxyID, at.ID)
	return o
}

// admitted is one that peers come to.
func (w *world) admitted() *Own {
	w.t.Helper()
	o := w.joined()
	look(w.t, o)
	must.Eq(w.t, "", tell(w.t, o, opened).Held)
	must.Eq(w.t, sidecar.Present, look(w.t, o).Presence)
	w.is(api.HealthPassing, readyNote)
	return o
}

// is tells what the ready check of web's sidecar must be.
func (w *world) is(status, output string) {
	w.t.Helper()
	check := w.consul.Check(webReadyID)
	must.NotNil(w.t, check)
	must.Eq(w.t, output, check.Output)
	must.Eq(w.t, status, check.Status)
}

// follow has the member hear what is so by now, as a life does at news.
func follow(t *testing.T, m sidecar.Member, s sidecar.Standing) sidecar.Reply {
	t.Helper()
	must.Eq(t, sidecar.Altered, look(t, m).Presence)
	return tell(t, m, s)
}

func look(t *testing.T, m sidecar.Member) sidecar.Finding {
	t.Helper()
	found, err := m.Look(t.Context())
	must.NoError(t, err)
	return found
}

func tell(t *testing.T, m sidecar.Member, s sidecar.Standing) sidecar.Reply {
	t.Helper()
	reply, err := m.Tell(t.Context(), s)
	must.NoError(t, err)
	return reply
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(10*time.Second), wait.Gap(5*time.Millisecond)))
}

// listening is a free port of an address at which somebody accepts connections.
func listening(t *testing.T) (address string, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	port = listener.Addr().(*net.TCPAddr).Port
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port
}
