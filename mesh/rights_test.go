package mesh

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// A token that lacks a right is said to lack it, on which service; and one that is given
// it a moment later registers all the same.
func TestOwn_rights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consul.KnowTokens("task")
	w.consul.Deny("task", "web-sidecar-proxy")
	node := w.node()
	node.Consul.SetTokens(consul.Tokens{Task: "task"})
	o := NewOwn(regWeb(), node)
	_, err := o.Join(t.Context())
	must.ErrorContains(t, err, `may not write service "web-sidecar-proxy": give it service:write on "web" and "web-sidecar-proxy", as the service identity of "web" has it`)

	asked := w.consul.Requests("POST /v1/internal/acl/authorize")
	go func() {
		for w.consul.Requests("POST /v1/internal/acl/authorize") == asked {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		w.consul.Deny("task")
	}()
	_, err = o.Join(t.Context())
	must.NoError(t, err)
	must.Eq(t, "task", w.consul.Registrar())
}

// Consul shows nothing to who has no rights, and that is not taken for an answer.
func TestOwn_emptyAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.consul.KnowTokens()
	w.consul.Deny("", "web")
	o := NewOwn(regWeb(), w.node())
	_, err := o.Join(t.Context())
	must.ErrorContains(t, err, `no ACL token is given, and who has none may not write service "web"`)
	w.consul.Remove(webID)
	w.consul.Deny("")
	_, err = o.Join(t.Context())
	must.ErrorContains(t, err, "Consul shows no service of this group")
}

// Whether Consul knows a token still is heard of by using it, within seconds on a node
// with few sidecars, and three times a second at most on one with many.
func TestOwn_renewsWithToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watched()
	o := w.admitted()
	must.Eq(t, renewLeast, tell(t, o, opened).Again)
	o.Consul.SetTokens(consul.Tokens{Task: "task"})
	must.Eq(t, tokenLeast, tell(t, o, opened).Again)
	for range 1000 {
		w.watch.Follow(consul.Interest{})
	}
	must.Between(t, 300*time.Second, tell(t, o, opened).Again, 302*time.Second)
}
