package consul

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/fake"
)

// join makes clients of an agent that share their connections.
func join(t *testing.T, pool *Pool, agent *fake.Consul, n int) []*Client {
	t.Helper()
	var clients []*Client
	for i := range n {
		c, err := pool.Client(Config{Address: agent.URL, Token: fmt.Sprint(i)}, nil)
		must.NoError(t, err)
		t.Cleanup(c.Close)
		clients = append(clients, c)
	}
	return clients
}

// askAll has all clients ask at the same time, again and again.
func askAll(t *testing.T, clients []*Client) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() {
			for range 5 {
				if _, err := c.Service(t.Context(), "web"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// All sidecars of a node together leave most of the connections that an agent allows
// to others.
func TestPool(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.LimitConnections(20)
	var pool Pool
	askAll(t, join(t, &pool, agent, 200))
	must.Eq(t, 1000, agent.Requests())
	must.Eq(t, 0, agent.RefusedConnections())
	must.Between(t, 2, agent.MaxConnections(), maxRequests)
}

// An answer that comes after its caller has given up belongs to nobody: it must not be
// written where the caller reads.
func TestPool_lateAnswer(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.Add(&api.AgentServiceRegistration{ID: "web", Name: "web"})
	agent.SetProxyDefaults(&api.ProxyConfigEntry{AccessLogs: &api.AccessLogsConfig{Enabled: true}})
	var pool Pool
	c := join(t, &pool, agent, 1)[0]
	for name, ask := range map[string]func(context.Context) error{
		"Self":           func(ctx context.Context) error { _, err := c.Self(ctx); return err },
		"AccessLogs":     func(ctx context.Context) error { _, err := c.AccessLogs(ctx); return err },
		"Service":        func(ctx context.Context) error { _, err := c.Service(ctx, "web"); return err },
		"CatalogService": func(ctx context.Context) error { _, err := c.CatalogService(ctx, fake.Node, "web"); return err },
		"Health":         func(ctx context.Context) error { _, err := c.Health(ctx, "web"); return err },
	} {
		must.NoError(t, ask(t.Context()), must.Sprint(name))
		for range 200 {
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(2*time.Millisecond))
			_ = ask(ctx) // the race detector sees what a late answer does
			cancel()
		}
	}
}

// Agents at different addresses have connections of their own, and so have those
// with other certificates.
func TestPool_others(t *testing.T) {
	t.Parallel()
	one, two := fake.StartConsul(t), fake.StartConsul(t)
	one.Hang()
	var pool Pool
	hanging := join(t, &pool, one, 2*maxRequests)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, c := range hanging {
		all.Go(func() { _, _ = c.Service(ctx, "web") })
	}
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(func() bool { return one.MaxConnections() == maxRequests }), wait.Timeout(10*time.Second), wait.Gap(5*time.Millisecond)))
	askAll(t, join(t, &pool, two, 3))
	cancel()
	all.Wait()
	one.Resume()

	for _, cfg := range []Config{
		{Address: one.URL, Namespace: "n"}, {Address: one.URL, Partition: "p"}, {Address: one.URL, TLS: api.TLSConfig{Address: "server.dc1.consul"}},
	} {
		c, err := pool.Client(cfg, nil)
		must.NoError(t, err)
		t.Cleanup(c.Close)
		must.True(t, c.client != hanging[0].client, must.Sprintf("%+v", cfg))
	}
	must.True(t, hanging[0].client == hanging[1].client)
}

// The last one to leave closes what is open; leaving twice counts once.
func TestPool_close(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	var pool Pool
	clients := join(t, &pool, agent, 3)
	askAll(t, clients)
	clients[0].Close()
	clients[0].Close()
	clients[1].Close()
	must.MapLen(t, 1, pool.shared)
	askAll(t, clients[2:])
	clients[2].Close()
	must.MapEmpty(t, pool.shared)

	agent.LimitConnections(1) // the agent sees in a moment that they are closed
	must.Wait(t, wait.InitialSuccess(wait.ErrorFunc(func() error {
		c, err := New(Config{Address: agent.URL})
		must.NoError(t, err)
		defer c.Close()
		_, err = c.Service(t.Context(), "web")
		return err
	}), wait.Timeout(10*time.Second), wait.Gap(10*time.Millisecond)))
	agent.LimitConnections(0)
	askAll(t, join(t, &pool, agent, 1))
}

// A token that Consul does not know is read anew, and the question asked once more.
func TestClient_renewsToken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, next string
		readErr    error
		requests   int
		want       string // of the error
	}{
		{"another", "new", nil, 2, ""},
		{"another that is as unknown", "other", nil, 2, "does not know the ACL token: ACL not found; a new one is taken as soon as it lies in /token"},
		{"the same", "old", nil, 1, "does not know the ACL token"},
		{"none", "", nil, 1, "does not know the ACL token"},
		{"one that cannot be read", "", context.DeadlineExceeded, 1, "does not know the ACL token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			agent := fake.StartConsul(t)
			agent.KnowTokens("new")
			var pool Pool
			c, err := pool.Client(Config{Address: agent.URL, Token: "old", TokenFile: "/token"}, func() (Tokens, error) {
				return Tokens{Task: tc.next}, tc.readErr
			})
			must.NoError(t, err)
			t.Cleanup(c.Close)
			_, err = c.Service(t.Context(), "web")
			if tc.want == "" {
				must.NoError(t, err)
				must.Eq(t, "new", c.Tokens().Task)
			} else {
				must.ErrorContains(t, err, tc.want)
			}
			must.Eq(t, tc.requests, agent.Requests())
		})
	}
}

// One that never can be read takes no longer than the question may, and others
// do not wait for it.
func TestClient_tokenNeverAnswers(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.KnowTokens("new")
	var pool Pool
	never, reads := make(chan struct{}), make(chan struct{}, 10)
	defer close(never)
	c, err := pool.Client(Config{Address: agent.URL, Token: "old"}, func() (Tokens, error) {
		reads <- struct{}{}
		<-never
		return Tokens{}, nil
	})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := c.Service(ctx, "web")
		must.ErrorContains(t, err, "does not know the ACL token")
		cancel()
	}
	must.Eq(t, 1, len(reads), must.Sprint("somebody reads already"))
}
