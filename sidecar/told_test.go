package sidecar_test

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// What the parent says of itself is what its sidecar says, also when it changes in
// place; nobody looks for that, it is told.
func TestTold_parentChanges(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s, _ := b.watched()
	b.host = "127.0.0.2"
	b.startApp() // where its service is to be
	b.consul.Change(webID, func(reg *api.AgentServiceRegistration) {
		reg.Tags, reg.Meta, reg.Address = []string{"canary"}, map[string]string{"version": "2"}, "127.0.0.2"
	})
	eventually(t, func() bool {
		proxy := b.consul.Proxy()
		return len(proxy.Tags) == 1 && proxy.Tags[0] == "canary" && proxy.Meta["version"] == "2" && proxy.Proxy.LocalServiceAddress == "127.0.0.2"
	})
	proxy := b.consul.Proxy()
	must.Eq(t, "a1", proxy.Meta["nomad-alloc-id"], must.Sprint("what the sidecar says itself stays"))
	must.Eq(t, b.own.Listener.Number, proxy.Port)
	must.Eq(t, "passing", b.consul.Ready())

	b.consul.Change(webID, func(reg *api.AgentServiceRegistration) { reg.Tags, reg.Meta = nil, nil })
	eventually(t, func() bool { proxy := b.consul.Proxy(); return len(proxy.Tags) == 0 && proxy.Meta["version"] == "" })
	b.destroyed(s)
}

// A check that somebody removed, or gave another status, comes back.
func TestTold_checkIsRemoved(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*api.Agent) error{
		"removed":  func(agent *api.Agent) error { return agent.CheckDeregister(proxyID + ":ready") },
		"critical": func(agent *api.Agent) error { return agent.UpdateTTL(proxyID+":ready", "by hand", api.HealthCritical) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			s, _ := b.watched()
			eventually(t, b.consul.HealthWatched)
			client, err := api.NewClient(&api.Config{Address: b.consul.URL})
			must.NoError(t, err)
			must.NoError(t, spoil(client.Agent()))
			const note = "the proxy is ready, and the local service accepts connections"
			eventually(t, func() bool {
				check := b.consul.Check(proxyID + ":ready")
				return check != nil && check.Status == api.HealthPassing && check.Output == note
			})
			b.destroyed(s)
		})
	}
}

// The ready check says at any time why it is as it is.
func TestTold_output(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.Alone)
	b.reachDB()
	output := func() string {
		if check := b.consul.Check(proxyID + ":ready"); check != nil {
			return check.Output
		}
		return ""
	}
	failed := make(chan error, 1)
	go func() {
		_, err := b.start()
		failed <- err
	}()
	eventually(t, func() bool { return output() == "Envoy is not ready yet" })
	b.consul.Remove(webID)
	b.consul.Remove(proxyID)
	must.Error(t, <-failed)

	b = newBench(t, fake.WellBehaved)
	s := b.started()
	eventually(t, func() bool {
		return output() == "the local service does not accept connections at "+b.app()+" yet"
	})
	b.startApp()
	serves(t, s)
	must.Eq(t, "the proxy is ready, and the local service accepts connections", output())
	b.crash(s)
	must.StrHasPrefix(t, "Envoy was killed by signal 9 (SIGKILL), and could not be started again: ", output())
	b.destroyed(s)
}
