package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/fake"
)

// A token of the operator's that Consul does not know is no fault of the task's, which is
// neither blamed for it nor replaced.
func TestRPC_operatorTokenRevoked(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	w.consul.KnowTokens("operator")
	h, _ := w.operated("operator")
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	w.consul.Revoke("operator")
	client, err := consul.New(consul.Config{Address: w.consul.URL, AgentToken: "operator"})
	must.NoError(t, err)
	_, err = h.plugin.agents.Refresh(t.Context(), client) // forgets the answer of before
	must.ErrorContains(t, err, "does not know the ACL token of the plugin's config")
	w.consul.Revoke("login 1")
	w.consul.Change(webService, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	h.told(w.task, "Acts in Consul with the ACL token accessor of login 2")
	must.Eq(t, []string{"login 2"}, w.consul.Tokens())
	must.NoError(t, h.DestroyTask(w.task.ID, true))

	_, err = w.start(h, sidecarHCL(""))
	must.ErrorContains(t, err, "does not know the ACL token of the plugin's config")
	must.SliceEmpty(t, w.consul.Tokens())
	w.clean()
}

// An identity that Nomad gave in the environment is in no handle: a later life of the
// plugin keeps the token that was given for it, and says so when it is refused.
func TestRPC_identityInEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	delete(w.task.Env, api.HTTPTokenEnvName)
	w.task.Env["NOMAD_TOKEN_mesh"] = "JWT"
	w.consul.KnowTokens("operator")
	w.consul.Identify("JWT", 0)
	h, configure := w.operated("operator")
	handle, err := w.start(h, sidecarHCL("")+"\n	consul {\n	  identity = \"mesh\"\n	}")
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	h.kill()

	next := newHarness(t)
	next.quickly()
	next.plugin.timing.Patience = 100 * time.Millisecond
	must.NoError(t, next.configure(configure))
	must.NoError(t, next.RecoverTask(handle))
	next.told(w.task, `Acts in Consul with the ACL token accessor of login 1 of the workload identity "mesh"`)
	recovered, err := next.plugin.tasks.get(w.task.ID)
	must.NoError(t, err)
	must.Eq(t, "operator", recovered.proxy.client.Tokens().Agent)
	w.consul.Revoke("login 1")
	w.consul.Change(webService, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	next.told(w.task, "its identity is not there any more, as one that Nomad gives in the environment is not after a restart of its agent")
	must.NoError(t, next.DestroyTask(w.task.ID, true))
}

// operated is a node whose plugin has a token of the operator's, and its config.
func (w *world) operated(token string) (h *harness, config string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "operator")
	must.NoError(w.t, os.WriteFile(file, []byte(token), 0o600))
	config = strings.Replace(w.config(), "consul {", fmt.Sprintf("consul {\n token_file = %q", file), 1)
	h = newHarness(w.t)
	h.quickly()
	must.NoError(w.t, h.configure(config))
	return h, config
}

// An identity that lies beside a sidecar which has its token from elsewhere is not what
// that token was given for: it is neither exchanged nor logged out.
func TestRPC_identityBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.consul.KnowTokens("secret")
	w.consul.Identify("JWT", 0)
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	h.kill()

	w.inSecrets("nomad_consul_default.jwt", "JWT")
	next := w.plugin()
	next.quickly()
	must.NoError(t, next.RecoverTask(handle))
	next.told(w.task, "Acts in Consul with the ACL token accessor of secret of CONSUL_HTTP_TOKEN")
	must.NoError(t, next.DestroyTask(w.task.ID, true))
	must.Eq(t, []string{"secret"}, w.consul.Tokens())
	must.Eq(t, 0, w.consul.Requests("POST /v1/acl/login"))
	w.clean()
}

// An event says why a login fails, and the next login is not made too soon.
func TestRPC_loginsFail(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	h := w.plugin()
	h.quickly()
	h.plugin.timing.Patience = 100 * time.Millisecond
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	w.inSecrets("nomad_consul_default.jwt", "forged")
	w.consul.Revoke("login 1")
	w.consul.Change(webService, func(reg *api.AgentServiceRegistration) { reg.Tags = []string{"news"} })
	h.told(w.task, `exchange the workload identity "consul_default" for an ACL token: log in to Consul at `)
	must.Less(t, 5, w.consul.Requests("POST /v1/acl/login"))
	must.NoError(t, h.DestroyTask(w.task.ID, true))
}

// A login that fails is tried again the later, the more sidecars are on the node.
func TestTokenKeeper_pace(t *testing.T) {
	t.Parallel()
	p := &Plugin{ctx: t.Context(), tasks: newTasks()}
	for range 1000 {
		p.watch.Follow(consul.Interest{})
	}
	client, err := consul.New(consul.Config{Address: "127.0.0.1:1"})
	must.NoError(t, err)
	k := p.newTokenKeeper(proxySpec{}, taskOnHost())
	k.client = client
	for range 20 {
		must.Error(t, k.exchange(t.Context(), 0, tokenSource{name: "an identity"}, "JWT"))
	}
	must.Greater(t, 2*time.Minute, time.Until(k.notBefore))
}

// A token of a failed start is given back when Consul takes it, though Nomad has heard of
// the failure by then.
func TestRPC_failedStartLogsOut(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	w.envoy = fake.Envoy(t, fake.Dying)
	h := w.plugin()
	w.consul.Fail("POST /v1/acl/logout", 0)
	_, err := w.start(h, sidecarHCL(fmt.Sprintf("upstreams {\n destination_name = \"db\"\n local_bind_port = %d\n}", w.freePort())))
	must.ErrorContains(t, err, "before it was ready")
	must.StrNotContains(t, err.Error(), "log out")
	must.Eq(t, []string{"login 1"}, w.consul.Tokens())
	w.consul.Heal()
	eventually(t, "the token is given back", func() bool { return len(w.consul.Tokens()) == 0 })
	w.clean()
}

// A token that an identity was exchanged for is given back after another has come in its
// place.
func TestRPC_replacedLogsOut(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	h := w.plugin()
	h.quickly()
	_, err := w.start(h, sidecarHCL("")+"\nready {\n timeout = \"4s\"\n}\ndrain {\n timeout = \"1s\"\n}")
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	w.consul.Expire("service", time.Hour)
	w.inSecrets("si_token", "service")
	h.told(w.task, "Hot restart 1 (its token has changed)")
	must.Eq(t, []string{"login 1", "service"}, w.consul.Tokens(), must.Sprint("the Envoy of before acts with it still"))
	eventually(t, "the first token is given back", func() bool { return len(w.consul.Tokens()) == 1 })
	must.Eq(t, "service", w.consul.Registrar())
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	w.clean()
}

// All that a start waits for takes no longer together than ready.timeout.
func TestRPC_startInTime(t *testing.T) {
	t.Parallel()
	w := identified(t, 0)
	w.inSecrets("nomad_consul_default.jwt", "forged")
	h := w.plugin()
	brief := sidecarHCL("") + "\nready {\n timeout = \"1s\"\n}"
	begun := time.Now()
	_, err := w.start(h, brief)
	must.ErrorContains(t, err, "`nomad setup consul` makes the method")
	must.Less(t, 4*time.Second, time.Since(begun))

	must.NoError(t, os.Remove(filepath.Join(w.task.TaskDir().SecretsDir, "nomad_consul_default.jwt")))
	w.consul.Remove(webService)
	begun = time.Now()
	_, err = w.start(h, brief)
	must.ErrorContains(t, err, "was not started within ready.timeout, 1s")
	must.Less(t, 4*time.Second, time.Since(begun))
}
