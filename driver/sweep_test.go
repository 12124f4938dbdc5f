package driver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
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

// registered is a sidecar in Consul of the Nomad client n1.
type registered struct {
	place
	boot string
}

func startRegistrations(t *testing.T, sidecars map[string]registered) *registrations {
	t.Helper()
	r := &registrations{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent/services", func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.filters = append(r.filters, req.URL.Query().Get("filter"))
		found := map[string]*api.AgentService{}
		for id, r := range sidecars {
			found[id] = &api.AgentService{ID: id, Meta: map[string]string{
				metaNodeID: "n1", metaAllocID: r.allocID, metaTask: r.task, "proxy-boot-id": r.boot,
			}}
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

func (r *registrations) gone() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.removed))
}

// sweeper is a plugin in the boot "today" of the machine "m1".
func sweeper() *Plugin {
	return &Plugin{log: hclog.NewNullLogger(), tasks: newTasks(), machine: machine{host: "m1", boot: "today"}}
}

// What nobody looks after goes, with the process that is left of it; nothing
// else does.
func TestSweep(t *testing.T) {
	t.Parallel()
	agent := startRegistrations(t, map[string]registered{
		"left":    {place: place{"a1", "proxy"}},
		"running": {place: place{"a2", "proxy"}, boot: "today"},
		"begun":   {place: place{"a3", "proxy"}},
		"forged":  {place: place{"../../etc", "proxy"}, boot: "today"},
		"empty":   {},
		"named":   {place: place{"a5", "web"}}, // a task of another driver
		"gone":    {place: place{"a6", "proxy"}},
	})
	allocs := t.TempDir()
	runDir := filepath.Join(allocs, "a1", "proxy", "secrets", runDirName)
	must.NoError(t, os.MkdirAll(runDir, 0o755))
	must.NoError(t, os.WriteFile(filepath.Join(runDir, ".run-dir"), []byte(runDir), 0o400)) // as a sidecar signs it
	orphan := workIn(t, runDir, "300")
	neighbours := filepath.Join(allocs, "a5", "web", "secrets", runDirName)
	must.NoError(t, os.MkdirAll(neighbours, 0o755))
	neighbour := workIn(t, neighbours, "300")
	unsigned := workIn(t, neighbours, "300", "--restart-epoch", "2") // of an earlier version of the driver
	gone := filepath.Join(allocs, "a6", "proxy", "secrets", runDirName)
	must.NoError(t, os.MkdirAll(gone, 0o755))
	stranger, ours := workIn(t, gone, "300"), workIn(t, gone, "300", "--restart-epoch", "0")
	must.NoError(t, os.RemoveAll(gone))

	p := sweeper()
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
	must.SliceEmpty(t, agent.gone())

	p.tasks.site.at = time.Now().Add(-settled)
	must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}))
	must.SliceContains(t, agent.filters, `Kind == "connect-proxy" and Meta["connect-driver-host"] == "m1"`)
	must.Eq(t, []string{"gone", "left", "named"}, agent.gone())
	must.Error(t, orphan.Wait(), must.Sprint("it was killed"))
	must.DirNotExists(t, runDir)
	for _, envoy := range []*exec.Cmd{ours, unsigned} {
		must.Error(t, envoy.Wait(), must.Sprint("it was killed"))
	}
	for _, other := range []*exec.Cmd{neighbour, stranger} {
		must.NoError(t, other.Process.Signal(syscall.Signal(0)))
	}
	must.DirExists(t, neighbours)
}

// workIn starts something in a directory that waits for its end.
func workIn(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"-c", "read -r _"}, args...)...)
	cmd.Dir = dir
	stdin, err := cmd.StdinPipe()
	must.NoError(t, err)
	t.Cleanup(func() { _, _ = stdin.Close(), cmd.Wait() })
	must.NoError(t, cmd.Start())
	return cmd
}

// A registration of another boot goes at once, also when no task has begun in this one.
// It stays when a task is about to register it anew.
func TestSweep_reboot(t *testing.T) {
	t.Parallel()
	agent := startRegistrations(t, map[string]registered{
		"yesterday": {place: place{"a1", "proxy"}, boot: "yesterday"},
		"forged":    {place: place{"../../etc", "proxy"}, boot: "yesterday"},
		"again":     {place: place{"a2", "proxy"}, boot: "yesterday"},
		"today":     {place: place{"a3", "proxy"}, boot: "today"},
		"starting":  {place: place{"a4", "proxy"}},
	})
	p := sweeper()
	end := p.tasks.begin(&drivers.TaskConfig{ID: "a2/proxy", AllocID: "a2", Name: "proxy", NodeID: "n1", AllocDir: filepath.Join(t.TempDir(), "a2")})
	must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}))
	must.Eq(t, []string{"forged", "yesterday"}, agent.gone())
	end() // its start has failed
	must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}))
	must.SliceContains(t, agent.gone(), "again")
}

// A machine that does not know itself concludes nothing.
func TestSweep_unknownMachine(t *testing.T) {
	t.Parallel()
	agent := startRegistrations(t, map[string]registered{"yesterday": {place: place{"a1", "proxy"}, boot: "yesterday"}})
	for _, unknown := range []machine{{boot: "today"}, {host: "m1"}} {
		p := sweeper()
		p.machine = unknown
		must.NoError(t, p.sweep(t.Context(), consul.Config{Address: agent.URL}))
	}
	must.SliceEmpty(t, agent.gone())
}

// A task that begins where something is just removed waits for that: else its own
// registration, of the same ID, could be removed.
func TestSweep_waitedFor(t *testing.T) {
	t.Parallel()
	known := newTasks()
	config := &drivers.TaskConfig{ID: "a1/proxy", AllocID: "a1", Name: "proxy", AllocDir: t.TempDir()}
	begun := make(chan struct{})
	must.NoError(t, known.unlessLookedAfter(placeOf(config), func() error {
		go func() {
			known.begin(config)
			close(begun)
		}()
		eventually(t, "the task has said that it begins", func() bool {
			known.mu.Lock()
			defer known.mu.Unlock()
			return len(known.begun) == 1
		})
		select {
		case <-begun:
			t.Error("it has not waited")
		default:
		}
		return nil
	}))
	<-begun
	must.NoError(t, known.unlessLookedAfter(placeOf(config), func() error {
		t.Error("somebody looks after it by now")
		return nil
	}))
}
