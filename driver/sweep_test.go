package driver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
)

// registrations is a Consul agent with some sidecars of one Nomad client.
type registrations struct {
	*httptest.Server

	mu      sync.Mutex
	filters []string
	removed []string
}

func startRegistrations(t *testing.T, tasks map[string]place) *registrations {
	r := &registrations{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent/services", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.filters = append(r.filters, req.URL.Query().Get("filter"))
		found := map[string]*api.AgentService{}
		for id, at := range tasks {
			found[id] = &api.AgentService{ID: id, Meta: map[string]string{metaAllocID: at.allocID, metaTask: at.task}}
		}
		_ = json.NewEncoder(w).Encode(found)
	})
	mux.HandleFunc("PUT /v1/agent/service/deregister/{id}", func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.removed = append(r.removed, req.PathValue("id"))
	})
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

// What nobody looks after goes, with the process that is left of it; nothing
// else does.
func TestSweep(t *testing.T) {
	agent := startRegistrations(t, map[string]place{
		"left":    {"a1", "proxy"},
		"running": {"a2", "proxy"},
		"begun":   {"a3", "proxy"},
		"forged":  {"../../etc", "proxy"},
		"empty":   {},
	})
	allocs := t.TempDir()
	runDir := filepath.Join(allocs, "a1", "proxy", "secrets", runDirName)
	must.NoError(t, os.MkdirAll(runDir, 0o755))
	orphan := exec.CommandContext(t.Context(), "sleep", "300")
	orphan.Dir = runDir
	must.NoError(t, orphan.Start())

	p := &Plugin{log: hclog.NewNullLogger(), tasks: newTasks()}
	config := func(alloc string) *drivers.TaskConfig {
		return &drivers.TaskConfig{ID: alloc + "/proxy", AllocID: alloc, Name: "proxy", NodeID: "n1", AllocDir: filepath.Join(allocs, alloc)}
	}
	must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}), must.Sprint("no task has told what client it is of"))
	running := config("a2")
	end := p.tasks.begin(running)
	p.tasks.put(running.ID, &task{config: running})
	end()
	defer p.tasks.begin(config("a3"))()
	must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}), must.Sprint("tasks have just begun"))
	must.SliceEmpty(t, agent.filters)

	p.tasks.site.at = time.Now().Add(-settled)
	must.NoError(t, p.sweep(context.Background(), consul.Config{Address: agent.URL}))
	must.SliceContains(t, agent.filters, `Kind == "connect-proxy" and Meta["nomad-node-id"] == "n1"`)
	must.Eq(t, []string{"left"}, slices.Sorted(slices.Values(agent.removed)))
	must.Error(t, orphan.Wait(), must.Sprint("it was killed"))
	must.DirNotExists(t, runDir)
}
