package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/e2e/agents"
	"nomad-driver-connect/e2e/parity"
)

// BenchmarkBootstrap measures the same bootstrap three ways, in turns, with a
// live agent: `consul connect envoy -bootstrap`, the bootstrap command, and
// what the driver does in its own process. The metrics are medians.
func BenchmarkBootstrap(b *testing.B) {
	tools, err := filepath.Abs("../.tools/bin")
	must.NoError(b, err)
	agent, err := agents.StartConsul(b.Context(), tools, b.TempDir(), agents.ConsulOptions{})
	must.NoError(b, err)
	defer func() { must.NoError(b, agent.Stop()) }()
	must.NoError(b, agent.Client.Agent().ServiceRegister(parity.Sidecar(nil)))
	client, err := consul.New(consul.Config{Address: agent.HTTP})
	must.NoError(b, err)
	defer client.Close()

	args := []string{"-http-addr", agent.HTTP, "-grpc-addr", fmt.Sprintf("127.0.0.1:%d", agent.GRPC), "-proxy-id", "web-sidecar-proxy"}
	var peer, own, inside runs
	for b.Loop() {
		peer.command(b, filepath.Join(tools, "consul"), append([]string{"connect", "envoy", "-bootstrap"}, args...)...)
		own.command(b, "../bin/nomad-driver-connect", append([]string{"bootstrap"}, args...)...)
		start := time.Now()
		renderInside(b, client, agent.GRPC)
		inside.times = append(inside.times, time.Since(start))
	}
	b.ReportMetric(0, "ns/op")
	for name, r := range map[string]runs{"consul": peer, "command": own, "inside": inside} {
		b.ReportMetric(float64(median(r.times).Microseconds())/1000, name+"-ms")
	}
	b.ReportMetric(float64(median(peer.memory))/1024, "consul-MiB")
	b.ReportMetric(float64(median(own.memory))/1024, "command-MiB")
	b.ReportMetric(float64(median(peer.times))/float64(median(own.times)), "consul/command")
	b.ReportMetric(float64(median(peer.times))/float64(median(inside.times)), "consul/inside")
}

// renderInside is a sidecar's own way to its bootstrap.
func renderInside(b *testing.B, client *consul.Client, grpc int) {
	agent, err := consul.ParseGRPCAddress(fmt.Sprintf("127.0.0.1:%d", grpc))
	must.NoError(b, err)
	in, err := client.Inputs(b.Context(), "web-sidecar-proxy", bootstrap.Inputs{Agent: agent, Admin: bootstrap.Admin{Socket: "admin.sock"}})
	must.NoError(b, err)
	message, err := bootstrap.Render(in)
	must.NoError(b, err)
	_, err = bootstrap.Marshal(message)
	must.NoError(b, err)
}

// runs are what several runs of one program took.
type runs struct {
	times  []time.Duration
	memory []int // KiB at the peak
}

func (r *runs) command(b *testing.B, path string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), path, args...)
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	start := time.Now()
	must.NoError(b, cmd.Start())
	peak := make(chan int, 1)
	ctx, cancel := context.WithCancel(b.Context())
	go func() { peak <- peakMemory(ctx, cmd.Process.Pid) }()
	err := cmd.Wait()
	r.times = append(r.times, time.Since(start))
	cancel()
	must.NoError(b, err)
	must.Positive(b, stdout.Len())
	r.memory = append(r.memory, <-peak)
}

var highWater = []byte("\nVmHWM:")

// peakMemory follows a process to its end. (The kernel's own account at the
// end would begin with the memory of this program, which forked it.)
func peakMemory(ctx context.Context, pid int) (peak int) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if at := bytes.Index(status, highWater); at >= 0 {
			if fields := bytes.Fields(status[at+len(highWater):]); len(fields) > 0 {
				if kib, err := strconv.Atoi(string(fields[0])); err == nil {
					peak = max(peak, kib)
				}
			}
		}
		select {
		case <-ctx.Done():
			return peak
		case <-tick.C:
		}
	}
}

func median[T int | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}
