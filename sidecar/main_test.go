package sidecar

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	dying       = "dying"    // exits with status 3 before it is ready, and refuses its bootstrap
	mortal      = "mortal"   // exits with status 3 before it is ready, but finds its bootstrap good
	lateMortal  = "late"     // the same, when the one before has closed its admin API
	usurper     = "usurper"  // the same, when it has taken the listeners over
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
	case temper == dying, temper == mortal:
		return 3
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	if temper == stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	if err := initFake(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	succeeded, err := serveFake(temper, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if temper == lateMortal {
		<-time.After(100 * time.Millisecond)
		return 3
	}
	if temper != alone { // it takes over
		serving := os.WriteFile("serving-"+flagOf(args, "--restart-epoch"), nil, 0o600)
		if err := errors.Join(flagFake(args, 0), serving); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if temper == usurper {
		<-time.After(100 * time.Millisecond)
		return 3
	}
	select {
	case <-terminated:
		return 0
	case <-succeeded:
		return 0
	case <-time.After(time.Minute): // a test that forgets it does not leave it for ever
		return 9
	}
}

// The memory that generations share, as Envoy lays it out.
const (
	memorySize      = 104
	memoryVersion   = 11
	memoryVersionAt = 8
	memoryFlagsAt   = 96
)

// initFake makes the memory that generations share, or looks whether the one
// before is still about to initialize, as Envoy does.
func initFake(args []string) error {
	path := fakeMemory(args)
	if flagOf(args, "--restart-epoch") == "0" {
		if err := os.Remove(path); err != nil {
			return err
		}
		memory := make([]byte, memorySize)
		binary.NativeEndian.PutUint64(memory, memorySize)
		binary.NativeEndian.PutUint64(memory[memoryVersionAt:], memoryVersion)
		return errors.Join(os.WriteFile(path, memory, 0o600), flagFake(args, 1))
	}
	memory, err := os.ReadFile(path)
	if err == nil && memory[memoryFlagsAt] != 0 {
		err = errors.New("previous envoy process is still initializing")
	}
	return errors.Join(err, flagFake(args, 1))
}

func flagFake(args []string, value byte) error {
	f, err := os.OpenFile(fakeMemory(args), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{value}, memoryFlagsAt)
	return errors.Join(err, f.Close())
}

func fakeMemory(args []string) string {
	return filepath.Join("/dev/shm", "envoy_shared_memory_"+flagOf(args, "--base-id")+"0")
}

// serveFake does what a generation does to the one before, and gives its own
// end after a successor has taken over. Files stand for Envoy's messages.
func serveFake(temper string, args []string) (succeeded chan struct{}, err error) {
	epoch, _ := strconv.Atoi(flagOf(args, "--restart-epoch"))
	if epoch > 0 {
		if err := os.Remove(adminSocket); err != nil {
			return nil, err
		}
	}
	admin, err := net.Listen("unix", adminSocket)
	if err != nil {
		return nil, err
	}
	admin.(*net.UnixListener).SetUnlinkOnClose(false) // it is the successor's by then
	public := net.Listener(nil)
	if address := os.Getenv(listenerVariable); address != "" && temper != alone && temper != lateMortal {
		config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		}}
		if public, err = config.Listen(context.Background(), "tcp", address); err != nil {
			return nil, err
		}
		go acceptFake(temper, public)
	}
	go func() { _ = http.Serve(admin, fakeAdmin(temper, epoch)) }()
	if err := os.WriteFile(fmt.Sprintf("begun-%d", epoch), nil, 0o600); err != nil {
		return nil, err
	}
	succeeded = make(chan struct{})
	go func() {
		defer close(succeeded)
		awaitFile(fmt.Sprintf("begun-%d", epoch+1))
		_ = admin.Close()
		awaitFile(fmt.Sprintf("serving-%d", epoch+1))
		if public != nil {
			_ = public.Close()
		}
		seconds, _ := strconv.Atoi(flagOf(args, "--parent-shutdown-time-s"))
		<-time.After(time.Duration(seconds) * time.Second)
	}()
	return succeeded, nil
}

func awaitFile(name string) {
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		if _, err := os.Stat(name); err == nil {
			return
		}
	}
}

// listenerVariable names the address of the fake's public listener.
const listenerVariable = "FAKE_LISTENER"

// told is closed when the fake was told to let its connections end.
var told = make(chan struct{})

// acceptFake holds the connections of peers as the temper has it.
func acceptFake(temper string, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			if temper == clinging {
				<-context.Background().Done()
			}
			<-told
			time.AfterFunc(300*time.Millisecond, func() { _ = conn.Close() })
		}()
	}
}

func flagOf(args []string, name string) string {
	at := slices.Index(args, name)
	if at < 0 {
		return ""
	}
	return args[at+1]
}

func fakeValidate(temper string) int {
	if temper == dying {
		fmt.Fprintln(os.Stderr, "error initializing configuration '/dev/fd/3': no such field: 'x'")
		return 1
	}
	return 0
}

func fakeAdmin(temper string, epoch int) http.Handler {
	mux := http.NewServeMux()
	state, connected, lds, refused, workers := "LIVE", 1, 1, 0, 1
	switch temper {
	case alone, lateMortal, usurper:
		state, connected, lds, workers = "PRE_INITIALIZING", 0, 0, 0
	case picky:
		lds, refused = 0, 1
	}
	tell := sync.OnceFunc(func() { close(told) })
	mux.HandleFunc("POST /healthcheck/fail", func(http.ResponseWriter, *http.Request) { tell() })
	mux.HandleFunc("POST /healthcheck/ok", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /drain_listeners", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, state) })
	mux.HandleFunc("/server_info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"version":"0123abcd/1.36.4/Clean/RELEASE/BoringSSL"}`)
	})
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "server.hot_restart_epoch: %d\ncontrol_plane.connected_state: %d\ncluster_manager.cds.update_success: %d\n"+
			"listener_manager.lds.update_success: %d\nlistener_manager.lds.update_rejected: %d\nlistener_manager.workers_started: %d\n",
			epoch, connected, connected, lds, refused, workers)
	})
	mux.HandleFunc("/config_dump", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"configs":[{"dynamic_listeners":[{"name":"db","error_state":{"details":"cannot bind '127.0.0.1:9191'"}}]}]}`)
	})
	return mux
}
