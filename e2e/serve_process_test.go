package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// before is `hook -serve` before a cluster's Nomad.
type before struct {
	*agents.Cluster
	url    string
	log    string // a file
	client *api.Client
	end    func() // as systemd does it
}

// serveBefore starts it as a process of its own.
func serveBefore(t testing.TB, c *agents.Cluster, args ...string) *before {
	t.Helper()
	ports, err := agents.FreePorts(1)
	must.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	b := &before{Cluster: c, url: "http://" + address, log: filepath.Join(t.TempDir(), "hook.log")}
	log, err := os.Create(b.log)
	must.NoError(t, err)
	cmd := exec.Command(*plugin, append([]string{"hook", "-serve", address, "-nomad", "http://" + c.Nomad.HTTP, "-drain-timeout", "5s"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	must.NoError(t, cmd.Start())
	must.NoError(t, log.Close())
	b.end = sync.OnceFunc(func() {
		must.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		must.NoError(t, cmd.Wait(), must.Sprint("it ends by itself, without an error"))
	})
	t.Cleanup(b.end)
	b.client, err = api.NewClient(&api.Config{Address: b.url})
	must.NoError(t, err)
	b.isHealthy(t)
	return b
}

func (b *before) isHealthy(t testing.TB) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/nomad-driver-connect/health", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("its health is %s", response.Status)
		}
		if response != nil {
			_ = response.Body.Close()
		}
		return err
	})
}

// nomad runs one of nomad's commands through it; the exit status is to be this.
func (b *before) nomad(t *testing.T, status int, args ...string) string {
	t.Helper()
	cmd := b.command(t.Context(), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		t.Fatalf("nomad %v: %v, and not status %d\n%s", args, err, status, out)
	}
	return string(out)
}

func (b *before) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Tool("nomad"), args...)
	cmd.Env = append(cmd.Environ(), "NOMAD_ADDR="+b.url)
	return cmd
}
