package fake

import (
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"
)

func TestMain(m *testing.M) {
	RunAsEnvoy()
	os.Exit(m.Run())
}

func clientOf(t *testing.T, c *Consul) *api.Client {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: c.URL})
	must.NoError(t, err)
	return client
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(10*time.Second), wait.Gap(5*time.Millisecond)))
}

var web = api.AgentServiceRegistration{
	ID: "web-1", Name: "web", Tags: []string{"blue"}, Port: 80, Weights: &api.AgentWeights{Passing: 7},
	TaggedAddresses: map[string]api.ServiceAddress{"lan": {Address: "10.0.0.1", Port: 80}},
	Checks:          api.AgentServiceChecks{{CheckID: "web-1:up", TTL: "1h", Notes: "is it up?"}},
}

// A blocking query waits for a change of what it asks for, and for nothing else.
func TestConsul_blockingQuery(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	client := clientOf(t, c)
	list, meta, err := client.Catalog().NodeServiceList(Node, nil)
	must.NoError(t, err)
	must.SliceEmpty(t, list.Services)

	changed := make(chan *api.CatalogNodeServiceList)
	go func() {
		list, _, _ := client.Catalog().NodeServiceList(Node, &api.QueryOptions{WaitIndex: meta.LastIndex})
		changed <- list
	}()
	eventually(t, c.Watched)
	c.Add(&web)
	list = <-changed
	must.Len(t, 1, list.Services)
	must.Eq(t, []string{"blue"}, list.Services[0].Tags)
	must.Eq(t, 7, list.Services[0].Weights.Passing)
	must.Eq(t, "10.0.0.1", list.Services[0].TaggedAddresses["lan"].Address)
	must.False(t, c.Watched())

	// An index that is older is answered at once, one that is not after ?wait=.
	_, now, err := client.Catalog().NodeServiceList(Node, &api.QueryOptions{WaitIndex: meta.LastIndex})
	must.NoError(t, err)
	must.Greater(t, meta.LastIndex, now.LastIndex)
	must.NoError(t, client.Agent().UpdateTTL("web-1:up", "yes", api.HealthPassing))
	_, still, err := client.Catalog().NodeServiceList(Node, &api.QueryOptions{WaitIndex: now.LastIndex, WaitTime: 50 * time.Millisecond})
	must.NoError(t, err)
	must.Eq(t, now.LastIndex, still.LastIndex, must.Sprint("a check is no news of services"))
	must.GreaterEq(t, 50*time.Millisecond, still.RequestTime)
	checks, health, err := client.Health().Node(Node, nil)
	must.NoError(t, err)
	must.Eq(t, "yes", checks[0].Output)
	must.Greater(t, now.LastIndex, health.LastIndex)
}

// An agent that begins to fail, or ends, does so to those who wait, too.
func TestConsul_blockingQueryFails(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	client := clientOf(t, c)
	failed := make(chan error)
	watch := func() {
		_, _, err := client.Catalog().NodeServiceList(Node, &api.QueryOptions{WaitIndex: 1})
		failed <- err
	}
	go watch()
	eventually(t, c.Watched)
	c.Fail("GET /v1/catalog/", http.StatusBadGateway)
	must.ErrorContains(t, <-failed, "502")
	must.Eq(t, 1, c.Refusals())
	c.Heal()
	go watch()
	eventually(t, c.Watched)
	c.Close()
	must.Error(t, <-failed)
}

// The worst check is the service's status, which alias checks follow.
func TestConsul_health(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	agent := clientOf(t, c).Agent()
	alias := api.AgentServiceRegistration{ID: "proxy", Name: "proxy", Checks: api.AgentServiceChecks{{CheckID: "proxy:alias", AliasService: "web-1"}}}
	c.Add(&alias)
	must.Eq(t, "Service web-1 could not be found on node "+Node, c.Check("proxy:alias").Output)
	c.Add(&web)
	c.AddCheck(api.AgentCheck{CheckID: "web-1:disk", ServiceID: "web-1", Status: api.HealthWarning, Type: "http"})
	for _, want := range []string{api.HealthPassing, api.HealthCritical, api.HealthPassing} {
		must.NoError(t, agent.UpdateTTL("web-1:up", "", want))
		if want == api.HealthPassing {
			want = api.HealthWarning // of the disk
		}
		status, info, err := agent.AgentHealthServiceByID("web-1")
		must.NoError(t, err)
		must.Eq(t, want, status)
		must.Eq(t, want, info.AggregatedStatus)
		must.Len(t, 2, info.Checks)
		must.Eq(t, want, c.CheckStatus("proxy:alias"))
	}
	c.SetCheck("proxy:alias", api.HealthPassing)
	must.Eq(t, api.HealthPassing, c.CheckStatus("proxy:alias"), must.Sprint("until its service has news"))
	must.ErrorContains(t, agent.UpdateTTL("nothing", "", api.HealthPassing), `Unknown check ID "nothing". Ensure that the check ID is passed, not the check name.`)

	// A service that is registered again has the checks of then, and what is known of them.
	reg := web
	reg.Checks = append(reg.Checks, &api.AgentServiceCheck{CheckID: "web-1:new", TTL: "1h", Status: api.HealthPassing})
	must.NoError(t, agent.ServiceRegisterOpts(&reg, api.ServiceRegisterOpts{}))
	must.Eq(t, api.HealthWarning, c.CheckStatus("web-1:disk"))
	must.NoError(t, agent.ServiceRegisterOpts(&reg, api.ServiceRegisterOpts{ReplaceExistingChecks: true}))
	must.Nil(t, c.Check("web-1:disk"))
	must.Eq(t, api.HealthPassing, c.CheckStatus("web-1:up"))
	must.Eq(t, api.HealthPassing, c.CheckStatus("proxy:alias"))
	c.Remove("web-1")
	must.Nil(t, c.Check("web-1:up"))
	must.Eq(t, api.HealthCritical, c.CheckStatus("proxy:alias"))
}

func TestConsul_filter(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	agent := clientOf(t, c).Agent()
	c.Add(&web)
	c.Add(&api.AgentServiceRegistration{ID: "web-1-proxy", Name: "proxy", Kind: api.ServiceKindConnectProxy, Meta: map[string]string{"node": "n1"}})
	for filter, want := range map[string]string{
		`ID matches "^web-" and Kind != "connect-proxy"`:           "web-1",
		`Kind == "connect-proxy"`:                                  "web-1-proxy",
		`Kind == "connect-proxy" and Meta["node"] == "n1"`:         "web-1-proxy",
		`Kind == "connect-proxy" and Meta["nobody"] == "n1"`:       "",
		`Kind == "terminating-gateway"`:                            "",
		`ID == "web-1-proxy" and Service == "proxy" or ID in Tags`: "web-1-proxy",
	} {
		found, err := agent.ServicesWithFilter(filter)
		must.NoError(t, err)
		if want == "" {
			must.MapEmpty(t, found, must.Sprint(filter))
			continue
		}
		must.MapLen(t, 1, found, must.Sprint(filter))
		must.MapContainsKey(t, found, want)
	}
}

func TestConsul_config(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	client := clientOf(t, c)
	proxy := &api.AgentServiceConnectProxyConfig{DestinationServiceName: "web", Config: map[string]any{"own": "1", "both": "1"}}
	c.Add(&api.AgentServiceRegistration{ID: "p", Name: "p", Kind: api.ServiceKindConnectProxy, Proxy: proxy})
	c.SetCentral(map[string]any{"central": "2", "both": "2"})
	list, _, err := client.Catalog().NodeServiceList(Node, &api.QueryOptions{MergeCentralConfig: true})
	must.NoError(t, err)
	must.Eq(t, map[string]any{"own": "1", "both": "1", "central": "2"}, list.Services[0].Proxy.Config)
	must.Eq(t, "web", list.Services[0].Proxy.DestinationServiceName)
	list, _, err = client.Catalog().NodeServiceList(Node, nil)
	must.NoError(t, err)
	must.Eq(t, proxy.Config, list.Services[0].Proxy.Config)

	_, _, err = client.ConfigEntries().Get(api.ProxyDefaults, api.ProxyConfigGlobal, nil)
	must.ErrorContains(t, err, "404")
	entries, _, err := client.ConfigEntries().List(api.ProxyDefaults, nil)
	must.NoError(t, err)
	must.SliceEmpty(t, entries)
	c.SetProxyDefaults(&api.ProxyConfigEntry{AccessLogs: &api.AccessLogsConfig{Enabled: true}})
	entries, _, err = client.ConfigEntries().List(api.ProxyDefaults, nil)
	must.NoError(t, err)
	must.True(t, entries[0].(*api.ProxyConfigEntry).AccessLogs.Enabled)
}

func TestConsul_tokens(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	c.KnowTokens("known")
	for token, want := range map[string]string{"known": "", "": "", "forgotten": "ACL not found"} {
		client, err := api.NewClient(&api.Config{Address: c.URL, Token: token})
		must.NoError(t, err)
		if err = client.Agent().ServiceRegister(&web); want != "" {
			must.ErrorContains(t, err, want)
			continue
		}
		must.NoError(t, err)
		must.Eq(t, token, c.Registrar())
	}
}

// One connection too many is refused, and those there are go on.
func TestConsul_limit(t *testing.T) {
	t.Parallel()
	c := StartConsul(t)
	c.LimitConnections(2)
	ask := func(transport *http.Transport) int {
		resp, err := (&http.Client{Transport: transport}).Get(c.URL + "/v1/agent/self")
		must.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body) // so that the connection stays
		must.NoError(t, err)
		must.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	var clients []*http.Transport
	for range 3 {
		clients = append(clients, &http.Transport{})
		t.Cleanup(clients[len(clients)-1].CloseIdleConnections)
	}
	must.Eq(t, http.StatusOK, ask(clients[0]))
	must.Eq(t, http.StatusOK, ask(clients[1]))
	must.Eq(t, http.StatusTooManyRequests, ask(clients[2]))
	must.Eq(t, http.StatusOK, ask(clients[0]))
	must.Eq(t, 1, c.RefusedConnections())
	must.Eq(t, 2, c.MaxConnections())
	must.Eq(t, 3, c.Requests("GET /v1/agent/self"))
	clients[1].CloseIdleConnections()
	eventually(t, func() bool { return ask(clients[2]) == http.StatusOK })
}
