package driver

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// inSecrets puts a file into the task's secrets, as Nomad does.
func (w *world) inSecrets(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.task.TaskDir().SecretsDir, name)
	must.NoError(w.t, os.WriteFile(path+".new", []byte(content), 0o600))
	must.NoError(w.t, os.Rename(path+".new", path))
}

// quickly has the plugin look at its files often.
func (h *harness) quickly() {
	h.plugin.timing.Files = 50 * time.Millisecond
}

// identified is a node on which the task has an identity, and no token.
func identified(t *testing.T, life time.Duration) *world {
	w := newWorld(t, fake.WellBehaved)
	delete(w.task.Env, api.HTTPTokenEnvName)
	w.consul.Identify("JWT", life)
	w.inSecrets("nomad_consul_default.jwt", "JWT")
	return w
}

// An identity is exchanged for a token, and the token is given back: at the stop, also by
// a plugin that did not exchange it, and when the sidecar never came up.
func TestRPC_identity(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.told(w.task, `Acts in Consul with the ACL token accessor of login 1 of the workload identity "consul_default"`)
	must.Eq(t, "login 1", w.consul.Registrar())
	h.awaitAttribute(w.task, "phase", "serving")
	h.kill()
	next := w.plugin()
	must.NoError(t, next.RecoverTask(handle))
	next.awaitAttribute(w.task, "phase", "serving")
	must.Eq(t, []string{"login 1"}, w.consul.Tokens())
	must.NoError(t, next.DestroyTask(w.task.ID, true))
	must.SliceEmpty(t, w.consul.Tokens())
	w.clean()

	w.consul.Fail("PUT /v1/agent/service/register", 500)
	_, err = w.start(next, sidecarHCL(""))
	must.ErrorContains(t, err, "answers 500: out of order")
	must.SliceEmpty(t, w.consul.Tokens())
	w.clean()
}

// A token that is deleted is told of at once, and another is taken by the identity: the
// registration is renewed with it, and Envoy.
func TestRPC_identityRevoked(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	h := w.plugin()
	h.quickly()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	w.consul.Revoke("login 1")
	w.consul.Change(webService, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	h.told(w.task, `Consul does not know the ACL token accessor of login 1 of the workload identity "consul_default" any more: it was deleted, or has ended; Envoy serves on with what it has, and it logs in again`)
	eventually(t, "the registration is renewed", func() bool { return w.consul.Registrar() == "login 2" })
	h.told(w.task, "Hot restart 1 (its token has changed)")
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	must.SliceEmpty(t, w.consul.Tokens())
	w.clean()
}

// A token that ends is exchanged for another before.
func TestRPC_identityEnds(t *testing.T) {
	t.Parallel()
	w := identified(t, 4*time.Second)
	h := w.plugin()
	h.quickly()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	eventually(t, "the registration is renewed", func() bool { return w.consul.Registrar() == "login 2" })
	h.told(w.task, "Hot restart 1 (its token has changed)")
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	must.SliceNotContains(t, w.consul.Tokens(), "login 2")
	w.clean()
}

// A token of a file that ends is told of before, and one that is deleted at once.
func TestRPC_fileToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.inSecrets("si_token", "first")
	w.consul.KnowTokens("first", "second")
	w.consul.Expire("first", 6*time.Second)
	h := w.plugin()
	h.quickly()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.told(w.task, "Acts in Consul with the ACL token accessor of first of secrets/si_token, which ends in 6s")
	h.told(w.task, "The ACL token accessor of first of secrets/si_token ends in ")
	w.inSecrets("si_token", "")
	w.inSecrets("si_token", "second")
	h.told(w.task, "Acts in Consul with the ACL token accessor of second of secrets/si_token")
	h.told(w.task, "Hot restart 1 (its token has changed)")
	w.consul.Revoke("second")
	w.consul.Change(webService, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	h.told(w.task, "Consul does not know the ACL token accessor of second of secrets/si_token any more: it was deleted, or has ended; Envoy serves on with what it has, and another is taken as soon as it lies there")
	w.consul.KnowTokens("third")
	w.inSecrets("si_token", "third")
	h.told(w.task, "Acts in Consul with the ACL token accessor of third of secrets/si_token")
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	w.clean()
}

// A token may take a moment until the agent's servers know it.
func TestRPC_tokenNotReplicated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.consul.KnowTokens("another")
	h := w.plugin()
	known := make(chan struct{})
	go func() {
		defer close(known)
		for w.consul.Requests("GET /v1/agent/self") == 0 {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		w.consul.KnowTokens("secret")
	}()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	<-known
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	w.clean()
}

// A method that is not there yet is waited for, and told of with what to do; logins that
// fail are not tried again at once.
func TestRPC_identityRefused(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	w.inSecrets("nomad_consul_default.jwt", "forged")
	h := w.plugin()
	_, err := w.start(h, sidecarHCL(""))
	must.ErrorContains(t, err, `exchange the workload identity "consul_default" for an ACL token: log in to Consul at `)
	must.ErrorContains(t, err, `by the auth method "nomad-workloads"`)
	must.ErrorContains(t, err, "`nomad setup consul` makes the method")
	must.True(t, structs.IsRecoverable(err))
	must.Between(t, 3, w.consul.Requests("POST /v1/acl/login"), 12)
	w.clean()

	asked := w.consul.Requests("POST /v1/acl/login")
	go func() {
		for w.consul.Requests("POST /v1/acl/login") == asked {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		w.consul.Identify("forged", 0)
	}()
	_, err = w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	must.SliceEmpty(t, w.consul.Tokens())
	w.clean()
}
