package consul

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// A workload identity is exchanged for a token, which can be read and ended.
func TestClient_login(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.Identify("jwt", time.Hour)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	token, err := c.Login(t.Context(), "nomad-workloads", "jwt", nil)
	must.NoError(t, err)
	must.Eq(t, time.Hour, token.Lifetime)
	read, err := c.ReadToken(t.Context(), token.Secret)
	must.NoError(t, err)
	must.Eq(t, token.Accessor, read.Accessor)
	must.True(t, token.Expires.Equal(read.Expires))

	_, err = c.Login(t.Context(), "nomad-workloads", "forged", nil)
	must.ErrorContains(t, err, `by the auth method "nomad-workloads"`)
	for range 2 { // it may have ended by itself
		must.NoError(t, c.Logout(t.Context(), token.Secret))
		must.SliceEmpty(t, agent.Tokens())
	}
	_, err = c.ReadToken(t.Context(), token.Secret)
	var denied *DeniedError
	must.ErrorAs(t, err, &denied)
	must.True(t, denied.Unknown)
}

// Consul says which rights a token lacks, without a request that fails.
func TestClient_lacks(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.Deny("", "db")
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	lacking, err := c.Lacks(t.Context(), Right{"service", "write", "web"}, Right{"service", "write", "db"})
	must.NoError(t, err)
	must.Eq(t, []Right{{"service", "write", "db"}}, lacking)
}

// keeper hears of the tokens that Consul does not know.
type keeper struct{ refused []string }

func (k *keeper) Name() string          { return "of the test" }
func (k *keeper) Refused(secret string) { k.refused = append(k.refused, secret) }

// The keeper of the tokens hears which token Consul does not know, and sentences name it.
func TestClient_keeper(t *testing.T) {
	t.Parallel()
	agent := fake.StartConsul(t)
	agent.KnowTokens("known")
	c, err := New(Config{Address: agent.URL, Token: "known", AgentToken: "gone"})
	must.NoError(t, err)
	t.Cleanup(c.Close)
	var k keeper
	c.KeptBy(&k)
	_, err = c.Self(t.Context())
	must.ErrorContains(t, err, "does not know the ACL token of the plugin's config")
	c.SetTokens(Tokens{Task: "old"})
	_, err = c.Has(t.Context(), "web")
	must.ErrorContains(t, err, "does not know the ACL token of the test")
	must.Eq(t, []string{"gone", "old"}, k.refused)
}

// Every request carries the namespace and the partition: Consul Enterprise would look
// elsewhere else. (That edition cannot be run here; its fields are recorded.)
func TestClient_namespace(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var lost []string
	asked := map[string]bool{}
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		q := r.URL.Query()
		asked[r.URL.Path] = true
		if q.Get("ns") != "shop" || q.Get("partition") != "east" {
			lost = append(lost, r.Method+" "+r.URL.String())
		}
		if strings.HasSuffix(r.URL.Path, "/authorize") {
			_, _ = io.WriteString(w, "[]")
			return
		}
		_ = json.NewEncoder(w).Encode(nil)
	}))
	t.Cleanup(agent.Close)
	var pool Pool
	c, err := pool.Client(Config{Address: agent.URL, Namespace: "shop", Partition: "east"}, nil)
	must.NoError(t, err)
	t.Cleanup(c.Close)
	everything(t, c)
	mu.Lock()
	defer mu.Unlock()
	must.SliceEmpty(t, lost)
	must.MapLen(t, 17, asked, must.Sprint(asked))
}

// everything makes each request that a client can make.
func everything(t *testing.T, c *Client) {
	t.Helper()
	ctx := t.Context()
	var watch Watch
	catalog := catalogQuery{watch: &watch, node: "n"}
	_, _ = c.Self(ctx)
	_, _ = c.GroupServices(ctx, "p")
	_, _ = c.Service(ctx, "s")
	_, _ = c.CatalogService(ctx, "n", "s")
	_, _ = c.Health(ctx, "s")
	_, _ = c.AccessLogs(ctx)
	_, _ = c.Definitions(ctx, "s", "")
	_ = c.Register(ctx, &api.AgentServiceRegistration{ID: "s", Name: "s"})
	_, _ = c.Deregister(ctx, "s")
	_ = c.SetStatus(ctx, "c", api.HealthPassing, "")
	_ = c.AddCheck(ctx, "s", &api.AgentServiceCheck{CheckID: "c"})
	_ = c.RemoveCheck(ctx, "c")
	_, _ = c.ReadToken(ctx, "t")
	_, _ = c.Login(ctx, "m", "jwt", nil)
	_ = c.Logout(ctx, "t")
	_, _ = c.Lacks(ctx, Right{"service", "write", "s"})
	_, _ = catalog.ask(ctx, c, 0)
	_, _ = watch.askChecks(ctx, c, "n", 0)
	_, _ = watch.askCentral(ctx, c, 0)
}
