package consul

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
)

// A registration that its caller has given up is through before the withdrawal that
// follows: else Consul could carry it out after that one.
func TestClient_turn(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var done []string
	agent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/agent/service/register" {
			close(begun)
			<-finish
		}
		mu.Lock()
		defer mu.Unlock()
		done = append(done, r.URL.Path)
	}))
	t.Cleanup(agent.Close)
	var pool Pool
	c, err := pool.Client(Config{Address: agent.URL}, nil)
	must.NoError(t, err)
	t.Cleanup(c.Close)

	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() { given <- c.Register(ctx, &api.AgentServiceRegistration{ID: "web"}) }()
	<-begun
	cancel()
	must.ErrorIs(t, <-given, context.Canceled)

	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	_, err = c.Deregister(short, "web")
	must.ErrorIs(t, err, context.DeadlineExceeded, must.Sprint("its turn has not come"))
	close(finish)
	_, err = c.Deregister(t.Context(), "web")
	must.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	must.Eq(t, []string{"/v1/agent/service/register", "/v1/agent/service/deregister/web"}, done)
}
