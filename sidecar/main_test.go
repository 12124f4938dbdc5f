package sidecar

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain lets this very binary be an Envoy: started under the name
// "envoy-<temper>" it behaves as that temper says.
func TestMain(m *testing.M) {
	if temper, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "envoy-"); ok {
		os.Exit(fakeEnvoy(temper, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// Tempers of the fake Envoy.
const (
	wellBehaved = "ok"
	dying       = "dying"    // exits with status 3 before it is ready
	alone       = "alone"    // never reaches Consul
	picky       = "picky"    // refuses the listeners that Consul sends
	stubborn    = "stubborn" // ignores SIGTERM
	busy        = "busy"     // has a connection that ends soon after it was told to
	clinging    = "clinging" // has a connection that does not end
	notEnvoy    = "impostor" // some other program
)

// envoyNamed gives the path of a fake Envoy.
func envoyNamed(t *testing.T, temper string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "envoy-"+temper)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func fakeEnvoy(temper string, args []string) int {
	switch {
	case temper == notEnvoy:
		fmt.Println("GNU something 1.0")
		return 0
	case slices.Contains(args, "--version"):
		fmt.Println("\nenvoy  version: 0123abcd/1.36.4/Clean/RELEASE/BoringSSL")
		return 0
	case slices.Contains(args, "validate"):
		return fakeValidate(temper)
	case temper == dying:
		return 3
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	if temper == stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := net.Listen("unix", adminSocket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = http.Serve(listener, fakeAdmin(temper)) }()
	select {
	case <-terminated:
		return 0
	case <-time.After(time.Minute): // a test that forgets it does not leave it for ever
		return 9
	}
}

func fakeValidate(temper string) int {
	if temper == dying {
		fmt.Fprintln(os.Stderr, "error initializing configuration '/dev/fd/3': no such field: 'x'")
		return 1
	}
	return 0
}

func fakeAdmin(temper string) http.Handler {
	mux := http.NewServeMux()
	state, connected, lds, refused := "LIVE", 1, 1, 0
	switch temper {
	case alone:
		state, connected, lds = "PRE_INITIALIZING", 0, 0
	case picky:
		lds, refused = 0, 1
	}
	var told atomic.Int64 // when connections were told to end
	mux.HandleFunc("POST /healthcheck/fail", func(http.ResponseWriter, *http.Request) { told.Store(time.Now().UnixMilli()) })
	mux.HandleFunc("POST /healthcheck/ok", func(http.ResponseWriter, *http.Request) { told.Store(0) })
	mux.HandleFunc("POST /drain_listeners", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, state) })
	mux.HandleFunc("/stats", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Query().Get("filter"), "downstream_cx_active") {
			open := 0
			if at := told.Load(); temper == clinging || temper == busy && (at == 0 || time.Now().UnixMilli()-at < 300) {
				open = 1
			}
			_, _ = fmt.Fprintf(w, "listener.127.0.0.1_1.downstream_cx_active: %d\n", open)
			return
		}
		_, _ = fmt.Fprintf(w, "control_plane.connected_state: %d\ncluster_manager.cds.update_success: %d\n"+
			"listener_manager.lds.update_success: %d\nlistener_manager.lds.update_rejected: %d\nlistener_manager.workers_started: 1\n",
			connected, connected, lds, refused)
	})
	mux.HandleFunc("/config_dump", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"configs":[{"dynamic_listeners":[{"name":"db","error_state":{"details":"cannot bind '127.0.0.1:9191'"}}]}]}`)
	})
	return mux
}
