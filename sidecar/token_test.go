package sidecar_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// withToken has a token, which Consul knows alone, and looks for another only when
// Consul does not know it any more.
func withToken(t *testing.T) *bench {
	b := newBench(t, fake.WellBehaved)
	b.access.Token = "old"
	b.consul.KnowTokens("old")
	b.timing.Files = time.Hour
	return b
}

// What is registered with a token that ends meanwhile is registered with the next
// one, and peers reach the proxy.
func TestSidecar_tokenChangesWhenPeersAreLetIn(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]func(change func(), tell func()){
		"before": func(change, tell func()) { change(); tell() },
		"after":  func(change, tell func()) { tell(); change() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withToken(t)
			b.timing.Files = 50 * time.Millisecond
			b.wrap = func(m sidecar.Member) sidecar.Member {
				return &rotatedMember{Member: m, when: when, change: func() {
					b.giveToken("new")
					b.consul.KnowTokens("new")
				}}
			}
			s := b.startServing()
			eventually(t, func() bool { return b.consul.Registrar() == "new" && b.consul.Ready() == "passing" })
			eventually(t, func() bool { return s.Status().Epoch == 1 })
			must.Eq(t, b.own.Listener.Number, b.consul.Proxy().Port)
			must.Eq(t, sidecar.Serving, s.Status().Phase)
			b.destroyed(s)
		})
	}
}

// rotatedMember has the token change when peers are let in.
type rotatedMember struct {
	sidecar.Member
	when   func(change, tell func())
	change func()
	done   bool
}

func (m *rotatedMember) Tell(ctx context.Context, s sidecar.Standing) (reply sidecar.Reply, err error) {
	if !s.Open || m.done {
		return m.Member.Tell(ctx, s)
	}
	m.done = true
	m.when(m.change, func() { reply, err = m.Member.Tell(ctx, s) })
	return reply, err
}

// A token that Consul does not know any more is told of once, and the next one is
// taken as soon as it lies there.
func TestSidecar_tokenUnknown(t *testing.T) {
	t.Parallel()
	b := withToken(t)
	b.timing.Patience = 500 * time.Millisecond
	s, _ := b.watched()
	b.consul.KnowTokens("new")
	b.consul.Change(proxyID, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	const unknown = "Could not ask the mesh what has become of it since "
	eventually(t, b.sawEvent(unknown))
	b.mustSay("does not know the ACL token: ACL not found")
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	asked := b.consul.Requests("GET /v1/agent/health/service/id/{id}") + 5
	eventually(t, func() bool { return b.consul.Requests("GET /v1/agent/health/service/id/{id}") >= asked })
	must.Eq(t, 1, b.said(unknown))

	b.giveToken("new")
	readable := time.Now()
	eventually(t, func() bool { return b.consul.Registrar() == "new" })
	must.Less(t, time.Second, time.Since(readable))
	eventually(t, b.sawEvent("Could ask the mesh what has become of it again, after"))
	eventually(t, b.sawEvent("Registered again with the new ACL token"))
	must.Eq(t, "passing", b.consul.Ready())
	b.destroyed(s)
}

// A stop withdraws with the token of now.
func TestSidecar_stopWithNewToken(t *testing.T) {
	t.Parallel()
	b := withToken(t)
	s := b.startServing()
	b.giveToken("new")
	b.consul.KnowTokens("new")
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Nil(t, b.consul.Proxy())
	b.mustSay("Stopped: withdrawn from Consul")
	b.destroyed(s)
}

// One that cannot be read keeps nobody from a stop, and the withdrawal is made up
// for when it can.
func TestSidecar_stopWithoutToken(t *testing.T) {
	t.Parallel()
	b := withToken(t)
	b.timing.Request = 300 * time.Millisecond
	s := b.startServing()
	b.change(func(n *node) {
		n.tokens = func() (consul.Tokens, error) { return consul.Tokens{}, errors.New("it is gone") }
	})
	b.consul.KnowTokens("new")
	s.Stop(syscall.SIGTERM, 10*time.Second)
	b.mustSay("could not withdraw it: look for " + proxyID)
	must.Error(t, s.Destroy(t.Context()))
	b.giveToken("new")
	b.destroyed(s)
}
