package mesh

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"nomad-driver-connect/consul"
)

func mustRun(t *testing.T, target consul.Target, status, note string) {
	t.Helper()
	v := run(t.Context(), &target)
	must.StrContains(t, v.note, note)
	must.Eq(t, status, v.status)
}

// An HTTP check is what its definition says.
func TestRun_http(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); {
		case r.URL.Path == "/redirect":
			http.Redirect(w, r, "/", http.StatusFound)
		case r.URL.Path == "/exact" && (r.Method != http.MethodPost || string(body) != "ping" || r.Host != "web.example" || r.Header.Get("X-A") != "b"):
			http.Error(w, "not as it is defined", http.StatusBadRequest)
		case r.URL.Path == "/busy":
			http.Error(w, "busy", http.StatusTooManyRequests)
		case r.URL.Path == "/long":
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20)))
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	exact := consul.Target{HTTP: plain.URL + "/exact", Method: "POST", Body: "ping", Header: map[string][]string{"host": {"web.example"}, "x-a": {"b"}}}
	mustRun(t, exact, api.HealthPassing, "200 OK")
	mustRun(t, consul.Target{HTTP: plain.URL + "/exact"}, api.HealthCritical, "answers 400 Bad Request: not as it is defined")
	mustRun(t, consul.Target{HTTP: plain.URL + "/busy"}, api.HealthWarning, "busy")
	mustRun(t, consul.Target{HTTP: plain.URL + "/long"}, api.HealthPassing, "…")
	mustRun(t, consul.Target{HTTP: plain.URL + "/redirect"}, api.HealthPassing, "200 OK")
	mustRun(t, consul.Target{HTTP: plain.URL + "/redirect", DisableRedirects: true}, api.HealthCritical, "302 Found")
	mustRun(t, consul.Target{HTTP: plain.URL + "/slow", Timeout: 20 * time.Millisecond}, api.HealthCritical, "deadline exceeded")
	mustRun(t, consul.Target{HTTP: secure.URL}, api.HealthCritical, "certificate")
	mustRun(t, consul.Target{HTTP: secure.URL, TLSSkipVerify: true}, api.HealthPassing, "200 OK")
	mustRun(t, consul.Target{HTTP: "http://127.0.0.1:1"}, api.HealthCritical, "connection refused")
}

func TestRun_tcp(t *testing.T) {
	t.Parallel()
	address, _ := listening(t)
	mustRun(t, consul.Target{TCP: address}, api.HealthPassing, "")
	mustRun(t, consul.Target{TCP: "127.0.0.1:1"}, api.HealthCritical, "connection refused")
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	at := secure.Listener.Addr().String()
	mustRun(t, consul.Target{TCP: at, TCPUseTLS: true, TLSSkipVerify: true}, api.HealthPassing, "")
	mustRun(t, consul.Target{TCP: at, TCPUseTLS: true}, api.HealthCritical, "certificate")
}

func TestRun_grpc(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	state.SetServingStatus("shop", healthpb.HealthCheckResponse_NOT_SERVING)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	at := listener.Addr().String()
	mustRun(t, consul.Target{GRPC: at}, api.HealthPassing, "")
	mustRun(t, consul.Target{GRPC: at + "/shop"}, api.HealthCritical, "NOT_SERVING")
	mustRun(t, consul.Target{GRPC: at + "/nobody"}, api.HealthCritical, "NotFound")
	mustRun(t, consul.Target{GRPC: at, GRPCUseTLS: true, TLSSkipVerify: true, Timeout: time.Second}, api.HealthCritical, "Unavailable")
	mustRun(t, consul.Target{GRPC: "127.0.0.1:1"}, api.HealthCritical, "Unavailable")
}
