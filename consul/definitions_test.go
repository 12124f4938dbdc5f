package consul

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// The agent's API tells the kind of a check; the data directory, where it may be read,
// all of it.
func TestClient_Definitions(t *testing.T) {
	t.Parallel()
	var told atomic.Value // the data directory, when it is told
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dir, ok := told.Load().(string); r.URL.Path == "/v1/agent/self" {
			if !ok {
				http.Error(w, "Permission denied", http.StatusForbidden)
				return
			}
			_, _ = fmt.Fprintf(w, `{"DebugConfig": {"DataDir": %q}}`, dir)
			return
		}
		if r.URL.Query().Get("filter") != `ServiceID == "web"` {
			http.Error(w, "no such filter", http.StatusBadRequest)
			return
		}
		_, _ = w.Write([]byte(`{"_nomad-check-1": {"Type": "http", "Interval": "10s"}, "script": {"Type": "ttl", "Interval": ""}}`))
	}))
	t.Cleanup(agent.Close)
	dir := t.TempDir()
	// The name is what Consul 1.22 makes of the ID.
	path := filepath.Join(dir, "checks", "a5c66f2d5b7bb2decac9e24ed5534a275db0a8eb1ed07a74cd1d4470ccaca2de")
	must.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	must.NoError(t, os.WriteFile(path, []byte(`{"Check": {}, "Token": "secret", "ChkType": {"HTTP": "https://127.0.0.1:1/x", "Method": "POST",
		"Header": {"A": ["b"]}, "TLSSkipVerify": true, "Timeout": 2000000000}}`), 0o600))

	client, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	found, err := client.Definitions(t.Context(), "web")
	must.NoError(t, err)
	must.Eq(t, map[string]Definition{"_nomad-check-1": {Type: "http", Interval: 10 * time.Second}, "script": {Type: "ttl"}}, found)

	told.Store(dir)
	found, err = client.Definitions(t.Context(), "web")
	must.NoError(t, err)
	must.Eq(t, &Target{HTTP: "https://127.0.0.1:1/x", Method: "POST", Header: map[string][]string{"A": {"b"}}, TLSSkipVerify: true, Timeout: 2 * time.Second},
		found["_nomad-check-1"].Target)
	must.Nil(t, found["script"].Target)

	must.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	found, err = client.Definitions(t.Context(), "web")
	must.ErrorContains(t, err, "read how the Consul agent runs the check _nomad-check-1")
	must.Eq(t, 10*time.Second, found["_nomad-check-1"].Interval)
}
