package consul

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
)

// agentOf is a client of an agent that a job has made itself.
func agentOf(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := New(Config{Address: server.URL, Token: "secret"})
	must.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// services asks as the library does.
func services(t *testing.T, c *Client) error {
	_, err := ask(t.Context(), c, func(q *api.QueryOptions) (map[string]*api.AgentService, error) {
		return c.client.Agent().ServicesWithFilterOpts("", q)
	})
	return err
}

// An answer without end takes no memory: whether it is one of letters or of objects.
func TestBound(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{strings.Repeat("x", 1<<20), strings.Repeat(`","":{},"a":"`, 1<<16), strings.Repeat(`",","`, 1<<16)} {
		sent := atomic.Int64{}
		client := agentOf(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a": "`)
			for sent.Load() < 4*maxAnswer {
				n, err := io.WriteString(w, rest)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
		must.Error(t, services(t, client))
		must.Less(t, maxAnswer+16<<20, sent.Load())
	}
	client := agentOf(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"a":{}`+strings.Repeat(`,"a":{}`, maxAnswer/objectCosts)+"}")
	})
	must.ErrorContains(t, services(t, client), "larger than any of Consul's")
}

// The words of a failure are an operator's to read, and its status stays known.
func TestBound_failure(t *testing.T) {
	t.Parallel()
	client := agentOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for range 100 {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	})
	var status api.StatusError
	must.ErrorAs(t, services(t, client), &status)
	must.Eq(t, http.StatusInternalServerError, status.Code)
	must.LessEq(t, maxFailure, len(status.Body))
}

// A node may have thousands of services.
func TestBound_large(t *testing.T) {
	t.Parallel()
	one := `"x":{"ID":"x","Service":"x","Tags":[],"Meta":{},"Port":1,"Weights":{"Passing":1,"Warning":1},"Proxy":{"Config":{},"Upstreams":[{"Config":{}},{"Config":{}}]},"Connect":{},"Check":{"a":{},"b":{}}}`
	client := agentOf(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{"+one+strings.Repeat(","+one, 5000)+"}")
	})
	must.NoError(t, services(t, client))
}

// A token goes to the agent that was named, and to nobody whom that names.
func TestBound_redirect(t *testing.T) {
	t.Parallel()
	stolen := atomic.Int64{}
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	t.Cleanup(thief.Close)
	client := agentOf(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	err := services(t, client)
	must.ErrorContains(t, err, `leads on to "`+thief.URL+`"`)
	must.ErrorContains(t, err, "the token is not taken there")
	err = client.post((&api.QueryOptions{Token: "secret"}).WithContext(t.Context()), "/v1/acl/login", 1, nil)
	must.ErrorContains(t, err, "leads on to")
	must.Eq(t, 0, stolen.Load())
}
