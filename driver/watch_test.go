package driver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// The watch follows the node that the agent is of now, with the operator's token of
// now, and a client that could not be made is made the next time.
func TestPlugin_follow(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100) // "node token"
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if node, ok := strings.CutPrefix(r.URL.Path, "/v1/catalog/node-services/"); ok {
			asked <- node + " " + r.Header.Get("X-Consul-Token")
		}
		if r.URL.Query().Get("index") != "" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Consul-Index", "7")
		_, _ = w.Write([]byte(`{"Node":{"Node":"node"},"Services":[]}`))
	}))
	t.Cleanup(agent.Close)
	p := &Plugin{ctx: t.Context(), log: hclog.NewNullLogger()}
	hears := func(want string) {
		t.Helper()
		for late := time.After(10 * time.Second); ; {
			select {
			case got := <-asked:
				if got == want {
					return
				}
			case <-late:
				t.Fatalf("nobody has asked as %q", want)
			}
		}
	}

	p.follow(consul.Config{Address: "://"}, "a")
	must.Eq(t, "", p.watch.node, must.Sprint("there is no such address"))
	p.follow(consul.Config{Address: agent.URL, AgentToken: "old"}, "a")
	hears("a old")
	p.follow(consul.Config{Address: agent.URL, AgentToken: "new"}, "b")
	hears("b new")
	p.follow(consul.Config{Address: agent.URL, AgentToken: "newer"}, "b")
	must.Eq(t, "newer", p.watch.client.Tokens().Agent)
	p.follow(consul.Config{Address: agent.URL}, "")
	must.Eq(t, "b", p.watch.node, must.Sprint("the agent does not tell"))
}
