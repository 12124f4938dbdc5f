package fake

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// startEnvoy starts a fake, as the driver does, and gives its working directory and
// a client of its admin API.
func startEnvoy(t *testing.T, behaviour Behaviour, listener string) (dir string, admin *http.Client) {
	dir = t.TempDir()
	baseID := fmt.Sprint(os.Getpid()) + filepath.Base(filepath.Dir(dir))
	memory := filepath.Join("/dev/shm", "envoy_shared_memory_"+baseID+"0")
	must.NoError(t, os.WriteFile(memory, nil, 0o600))
	t.Cleanup(func() { _ = os.Remove(memory) })
	envoy := exec.Command(Envoy(t, behaviour), "--base-id", baseID, "--restart-epoch", "0")
	envoy.Dir, envoy.Env = dir, append(EnvoyEnv(t), ListenerVariable+"="+listener)
	envoy.Stderr = os.Stderr
	must.NoError(t, envoy.Start())
	t.Cleanup(func() {
		must.NoError(t, envoy.Process.Signal(syscall.SIGTERM))
		must.NoError(t, envoy.Wait())
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, AdminSocket))
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return dir, &http.Client{Transport: transport, Timeout: time.Second}
}

func get(client *http.Client, path string) string {
	resp, err := client.Get("http://envoy" + path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

func freeAddress(t *testing.T, host string) string {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	must.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// The connections of peers are counted while they are open.
func TestEnvoy_connections(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		address := freeAddress(t, host)
		_, admin := startEnvoy(t, WellBehaved, address)
		_, port, _ := net.SplitHostPort(address)
		name := map[string]string{"127.0.0.1": "127.0.0.1_", "::1": "[__1]_"}[host] + port
		count := func(n int) func() bool {
			return func() bool {
				return get(admin, "/stats?filter=downstream_cx_active") == fmt.Sprintf("listener.%s.downstream_cx_active: %d\n", name, n)
			}
		}
		eventually(t, count(0))
		one, err := net.Dial("tcp", address)
		must.NoError(t, err)
		two, err := net.Dial("tcp", address)
		must.NoError(t, err)
		eventually(t, count(2))
		must.NoError(t, one.Close())
		eventually(t, count(1))
		resp, err := admin.Post("http://envoy/healthcheck/fail", "", nil)
		must.NoError(t, err)
		must.NoError(t, resp.Body.Close())
		eventually(t, count(0))
		must.NoError(t, two.Close())
	}
}

// One that hangs accepts connections, and does not answer.
func TestEnvoy_hung(t *testing.T) {
	t.Parallel()
	dir, admin := startEnvoy(t, Hung, "")
	eventually(t, func() bool { return get(admin, "/ready") == "LIVE\n" })
	must.NoError(t, os.WriteFile(filepath.Join(dir, HangFile), nil, 0o600))
	must.StrContains(t, get(admin, "/ready"), "Client.Timeout exceeded")
}
