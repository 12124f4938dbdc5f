package consul

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// The agent's API tells the kind of a check; the data directory, where it may be read,
// all of it.
func TestClient_Definitions(t *testing.T) {
	t.Parallel()
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	found, err := client.Definitions(t.Context(), "web", "")
	must.NoError(t, err)
	must.Eq(t, map[string]Definition{"_nomad-check-1": {Type: "http", Interval: 10 * time.Second}, "script": {Type: "ttl"}}, found)

	found, err = client.Definitions(t.Context(), "web", dir)
	must.NoError(t, err)
	must.Eq(t, &Target{HTTP: "https://127.0.0.1:1/x", Method: "POST", Header: map[string][]string{"A": {"b"}}, TLSSkipVerify: true, Timeout: 2 * time.Second},
		found["_nomad-check-1"].Target)
	must.Nil(t, found["script"].Target)

	for name, broken := range map[string]func() error{
		"is not written as":  func() error { return os.WriteFile(path, []byte(`{"Token": secret`), 0o600) },
		"is larger than":     func() error { return os.WriteFile(path, make([]byte, mostKept+1), 0o600) },
		"is no regular file": func() error { return syscall.Mkfifo(path, 0o600) },
		"symbolic links":     func() error { return os.Symlink("/dev/zero", path) },
	} {
		must.NoError(t, os.Remove(path))
		must.NoError(t, broken())
		found, err = client.Definitions(t.Context(), "web", dir)
		must.ErrorContains(t, err, "read how the Consul agent runs the check _nomad-check-1")
		must.ErrorContains(t, err, name)
		must.StrNotContains(t, err.Error(), "secret")
		must.Eq(t, Definition{Type: "http", Interval: 10 * time.Second}, found["_nomad-check-1"])
	}
}
