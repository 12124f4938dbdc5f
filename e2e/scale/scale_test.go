package scale

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

var count = flag.Int("sidecars", 1000, "how many sidecars")

var tools = flag.String("tools", "../../.tools/bin", "directory with consul and envoy")

var driver = flag.String("plugin", "../../bin/nomad-driver-connect", "the built driver")

func TestMain(m *testing.M) {
	fake.RunAsEnvoy()
	flag.Parse()
	os.Exit(m.Run())
}

// fakes is a node with a fake Consul that refuses the 201st connection, as a real
// one does, and fake Envoys.
func fakes(t testing.TB) (*fake.Consul, *node) {
	agent := fake.StartConsul(t)
	agent.LimitConnections(200)
	return agent, newNode(t, agent.URL, "127.0.0.1:8502", fake.Envoy(t, fake.WellBehaved), append(fake.EnvoyEnv(t), fake.LifeVariable+"=30m"))
}

// closing are connections that Consul may still have when the driver has closed them.
const closing = 8

// many is how many sidecars there are.
func many() int { return *count }

// TestScale is the life of a node with a thousand sidecars: what they ask of Consul
// is counted, whatever the machine's speed.
func TestScale(t *testing.T) {
	agent, n := fakes(t)
	n.start(1, many(), 16)
	n.awaitServing(many(), 2*time.Minute)
	must.Zero(t, agent.RefusedConnections())
	must.LessEq(t, 16+ownConnections+closing, agent.MaxConnections())

	t.Run("idle", func(t *testing.T) {
		idle(t, agent, n)
	})
	t.Run("recovery", func(t *testing.T) {
		n.killPlugin()
		n.startPlugin()
		began := time.Now()
		n.recover()
		n.awaitPhase("serving", time.Minute)
		t.Logf("all are found again, and serve, after %s", time.Since(began).Round(time.Millisecond))
	})
	t.Run("Consul is away", func(t *testing.T) {
		agent.Fail("/v1/", 429)
		within(t, time.Minute, func() error {
			if agent.Refusals() < 3 {
				return fmt.Errorf("%d requests were refused", agent.Refusals())
			}
			return nil
		})
		agent.Heal()
		n.awaitServing(many(), time.Minute)
	})
	must.Zero(t, agent.RefusedConnections())
}

// idle waits until nothing happens any more, and counts for a while.
func idle(t testing.TB, agent *fake.Consul, n *node) cost {
	const (
		quiet    = 20 * time.Second
		settling = 40 * time.Second // the runtime gives back what a start has taken
	)
	within(t, 2*time.Minute, func() error {
		before := agent.Requests()
		<-time.Tick(5 * time.Second)
		if now := agent.Requests() - before; now > 5*5 {
			return fmt.Errorf("%d requests in 5 s", now)
		}
		return nil
	})
	<-time.Tick(settling)
	requests, cpu := agent.Requests(), cpuTime(t, n.pid())
	began := time.Now()
	<-time.Tick(quiet)
	took := time.Since(began)
	c := cost{
		cpu:      (cpuTime(t, n.pid()) - cpu).Seconds() * 1000 / took.Seconds() / float64(many()),
		requests: float64(agent.Requests()-requests) / took.Seconds(),
		memory:   float64(privateMemory(t, n.pid())) / (1 << 20),
	}
	c.connections = connections(t, n.pid(), port(t, agent.URL))
	t.Logf("%s", c)
	must.LessEq(t, 5.0, c.requests)
	must.LessEq(t, 16, c.connections)
	return c
}

// port is that of an address.
func port(t testing.TB, address string) int {
	at, err := url.Parse(address)
	must.NoError(t, err)
	number, err := strconv.Atoi(at.Port())
	must.NoError(t, err)
	return number
}

// cost is what many sidecars cost their node when nothing happens.
type cost struct {
	cpu         float64 // ms a second and sidecar
	requests    float64 // to Consul, a second, of all
	connections int
	memory      float64 // MiB of the plugin's own
}

func (c cost) String() string {
	return fmt.Sprintf("%d sidecars, idle: %.3f ms of CPU a second and sidecar, %.1f requests a second to Consul over %d connections, plugin %.1f MiB", many(), c.cpu, c.requests, c.connections, c.memory)
}

// BenchmarkScale measures what a thousand sidecars cost.
func BenchmarkScale(b *testing.B) {
	for b.Loop() {
		agent, n := fakes(b)
		began := time.Now()
		n.start(1, many(), 16)
		n.awaitServing(many(), 5*time.Minute)
		started := time.Since(began)
		c := idle(b, agent, n)
		n.killPlugin()
		n.startPlugin()
		began = time.Now()
		n.recover()
		n.awaitPhase("serving", time.Minute)
		b.ReportMetric(c.cpu, "ms/s/sidecar")
		b.ReportMetric(c.requests, "requests/s")
		b.ReportMetric(float64(c.connections), "connections")
		b.ReportMetric(c.memory, "MiB")
		b.ReportMetric(started.Seconds(), "s-to-start")
		b.ReportMetric(time.Since(began).Seconds(), "s-to-recover")
		b.ReportMetric(float64(agent.RefusedConnections()), "429s")
		b.ReportMetric(0, "ns/op")
		n.close()
	}
}
