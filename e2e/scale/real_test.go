package scale

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

const (
	realMost   = 300      // sidecars with real Envoys
	realMemory = 45 << 20 // bytes that one of them may take
	deploy     = 100      // of them are started, and stopped, at the same moment
)

// TestScale_real has real Envoys and a real Consul, as many as the memory of the
// machine lets it. Consul refuses nobody, and has nothing to complain of.
func TestScale_real(t *testing.T) {
	most := min(realMost, int(availableMemory(t)/2/realMemory))
	must.GreaterEq(t, deploy, most, must.Sprint("the machine has too little memory for a deploy of 100"))
	bin, err := filepath.Abs(*tools)
	must.NoError(t, err)
	agent, err := agents.StartConsul(t.Context(), bin, t.TempDir(), agents.ConsulOptions{})
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, agent.Stop()) })
	envoy := publicCopy(t, filepath.Join(bin, "envoy"))
	n := newNode(t, agent.HTTP, fmt.Sprintf("127.0.0.1:%d", agent.GRPC), envoy, nil)

	began := time.Now()
	n.start(1, deploy, deploy)
	n.awaitServing(deploy, 3*time.Minute)
	t.Logf("a deploy of %d is there after %s", deploy, time.Since(began).Round(time.Second))
	n.start(deploy+1, most, 8)
	n.awaitServing(most, 5*time.Minute)

	t.Run("idle", func(t *testing.T) {
		cpu, since := cpuTime(t, n.pid()), time.Now()
		<-time.Tick(20 * time.Second)
		used := (cpuTime(t, n.pid()) - cpu).Seconds() * 1000 / time.Since(since).Seconds() / float64(most)
		open := connections(t, n.pid(), port(t, "http://"+agent.HTTP))
		t.Logf("%d sidecars, idle: %.3f ms of CPU a second and sidecar, %d connections to Consul, plugin %.1f MiB", most, used, open, float64(privateMemory(t, n.pid()))/(1<<20))
		must.LessEq(t, 16, open)
	})
	t.Run("recovery", func(t *testing.T) {
		n.killPlugin()
		n.startPlugin()
		began := time.Now()
		n.recover()
		n.awaitPhase("serving", time.Minute)
		t.Logf("all %d are found again, and serve, after %s", most, time.Since(began).Round(time.Millisecond))
	})
	t.Run("stop", func(*testing.T) {
		n.stop(deploy)
		n.awaitServing(most-deploy, time.Minute)
	})
	complaints(t, agent.Log)
}

// complaints are the lines of Consul's log that tell of something wrong, but for
// those that no request is the reason of.
func complaints(t *testing.T, path string) {
	log, err := os.ReadFile(path)
	must.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "too many") || (strings.Contains(line, "[ERROR]") && strings.Contains(line, "agent.http")) {
			lines = append(lines, line)
		}
	}
	must.Len(t, 0, lines, must.Sprintf("Consul complains, the first time: %.400s", strings.Join(lines, "")))
}

// publicCopy is a program that every user may execute.
func publicCopy(t *testing.T, path string) string {
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	to := filepath.Join(allocDir(t), filepath.Base(path))
	must.NoError(t, os.WriteFile(to, content, 0o755))
	return to
}
