package consul

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
)

// A follower hears of its service alone, and of nothing while Consul is away
// or does not show the node.
func TestWatch(t *testing.T) {
	answers := make(chan []string) // the services of each answer in turn; nil for a refusal
	var asked []string
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("index"))
		select {
		case ids := <-answers:
			if ids == nil {
				http.Error(w, "no leader", http.StatusInternalServerError)
				return
			}
			list := api.CatalogNodeServiceList{Node: &api.Node{Node: "node"}}
			for _, id := range ids {
				list.Services = append(list.Services, &api.AgentService{ID: id})
			}
			w.Header().Set("X-Consul-Index", strconv.Itoa(40+len(asked)))
			_ = json.NewEncoder(w).Encode(list)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	var w Watch
	web, db := w.Follow("web"), w.Follow("db")
	complaints := make(chan error, 10)
	go w.Run(t.Context(), c, "node", func(err error) { complaints <- err })

	answers <- []string{"web"}
	must.True(t, <-web)
	answers <- nil
	must.ErrorContains(t, <-complaints, "follow the services of node node: Consul at "+agent.URL+" answers 500: no leader")
	answers <- []string{"web", "db"}
	must.True(t, <-db)
	must.True(t, <-web, must.Sprint("the refusal was no news, but Consul is back"))
	answers <- []string{"db"}
	must.False(t, <-web)
	answers <- []string{"db", "web"}
	answers <- []string{"db"}
	answers <- []string{"db"} // who asks again has told of the one before
	must.False(t, <-web, must.Sprint("the latest of what nobody has read"))
	answers <- []string{}
	must.False(t, <-db)
	must.Eq(t, []string{"", "41", "", "43"}, asked[:4], must.Sprint("after a failure all is asked anew"))
}

func TestWatch_nodeIsHidden(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Node":null,"Services":[]}`))
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	_, err = c.nodeCatalog(t.Context(), "node", 0)
	must.ErrorContains(t, err, "the plugin's token needs node:read and service:read")
}

// nodeAnswer is what a fake catalog says of a node.
type nodeAnswer struct {
	index   int
	node    string
	created uint64
}

// startCatalog gives each request the next answer; nil for a refusal.
func startCatalog(t *testing.T) (*Client, chan<- *nodeAnswer) {
	answers := make(chan *nodeAnswer)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case a := <-answers:
			if a == nil {
				http.Error(w, "no leader", http.StatusInternalServerError)
				return
			}
			w.Header().Set("X-Consul-Index", strconv.Itoa(a.index))
			_ = json.NewEncoder(w).Encode(api.CatalogNodeServiceList{Node: &api.Node{ID: a.node, CreateIndex: a.created}})
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	return c, answers
}

// Data is lost while Consul is away; a lower index is no loss as long as it
// answers.
func TestWatch_forgot(t *testing.T) {
	for _, tc := range []struct {
		name string
		away bool
		then nodeAnswer
		want bool
	}{
		{"nothing new", false, nodeAnswer{41, "id", 5}, false},
		{"lower index", false, nodeAnswer{20, "id", 5}, false},
		{"restarted", true, nodeAnswer{41, "id", 5}, false},
		{"lower index after a restart", true, nodeAnswer{20, "id", 5}, true},
		{"another ID", true, nodeAnswer{41, "id'", 5}, true},
		{"registered anew", true, nodeAnswer{41, "id", 38}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, answers := startCatalog(t)
			var w Watch
			complaints := make(chan error, 10)
			go w.Run(t.Context(), c, "node", func(err error) { complaints <- err })
			answers <- &nodeAnswer{40, "id", 5}
			if tc.away {
				answers <- nil
				<-complaints
			}
			answers <- &tc.then
			answers <- &tc.then // who asks again has told of the one before
			must.Eq(t, tc.want, w.Forgot())
		})
	}
}

// What is wrong is told once, and again when something else is.
func TestWatch_complainsOnce(t *testing.T) {
	c, answers := startCatalog(t)
	var w Watch
	complaints := make(chan error, 10)
	go w.Run(t.Context(), c, "node", func(err error) { complaints <- err })
	answers <- nil
	answers <- nil
	answers <- &nodeAnswer{40, "id", 5}
	answers <- nil
	answers <- &nodeAnswer{40, "id", 5}
	answers <- &nodeAnswer{40, "id", 5}
	must.Eq(t, 2, len(complaints))
}

// The watch asks with the operator's token of now.
func TestWatch_rotatedToken(t *testing.T) {
	tokens := make(chan string, 100)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens <- r.Header.Get("X-Consul-Token")
		w.Header().Set("X-Consul-Index", "7")
		_, _ = w.Write([]byte(`{"Node":{"Node":"node"},"Services":[]}`))
	}))
	defer agent.Close()
	client, err := New(Config{Address: agent.URL, AgentToken: "old"})
	must.NoError(t, err)
	var watch Watch
	go watch.Run(t.Context(), client, "node", func(error) {})
	must.Eq(t, "old", <-tokens)
	client.SetAgentToken("new")
	for token := range tokens {
		if token == "new" {
			break
		}
	}
}
