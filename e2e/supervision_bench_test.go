package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// supervised is how many sidecars BenchmarkSupervision looks at.
const supervised = 20

// BenchmarkSupervision measures what a sidecar costs beside its Envoy: the
// private memory of the processes that look after it, and how many they are. Of
// this driver, that is what its one plugin grows by.
func BenchmarkSupervision(b *testing.B) {
	c := newCluster(b, agents.Options{})
	defer func() { must.NoError(b, c.Close(context.WithoutCancel(b.Context()))) }()
	plugins := c.Plugins()
	must.Len(b, 1, plugins)
	m := &machine{c, plugins[0]}
	costs := make([]cost, 2)
	for b.Loop() {
		for i := range costs {
			var err error
			costs[i], err = m.measure(b.Context(), ways[i])
			must.NoError(b, err)
		}
	}
	var table strings.Builder
	for i, cost := range costs {
		b.ReportMetric(mib(cost.supervision), ways[i].name+"-MiB")
		fmt.Fprintf(&table, "\n%-8s %s", ways[i].name, cost)
	}
	b.ReportMetric(float64(costs[0].supervision)/float64(costs[1].supervision), "connect/recipe")
	b.ReportMetric(0, "ns/op")
	b.Log(table.String())
}

// cost is that of one sidecar: private memory in bytes, and processes.
type cost struct {
	supervision, helpers int // beside Envoy and Nomad's logmon
	envoy, logmon        int
	plugin               int // without a sidecar, once a node
}

func (c cost) String() string {
	return fmt.Sprintf("supervision %6.3f MiB, %d processes; Envoy %.1f MiB; Nomad's logmon %.1f MiB; once a node, the plugin %.1f MiB",
		mib(c.supervision), c.helpers, mib(c.envoy), mib(c.logmon), mib(c.plugin))
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }

// machine is where it is measured.
type machine struct {
	*agents.Cluster
	plugin int // its pid
}

// measure runs some sidecars and divides.
func (m *machine) measure(ctx context.Context, w way) (cost, error) {
	// What the first sidecar brings into memory is there for all that follow.
	if err := errors.Join(m.run(ctx, w, 1), m.end(ctx, w, 1)); err != nil {
		return cost{}, err
	}
	before, beforeErr := m.settled(ctx, w)
	if err := errors.Join(beforeErr, m.run(ctx, w, supervised)); err != nil {
		return cost{}, err
	}
	after, afterErr := m.settled(ctx, w)
	sum, err := m.beside()
	sum.supervision += after - before
	return cost{
		supervision: sum.supervision / supervised,
		helpers:     sum.helpers / supervised,
		envoy:       sum.envoy / supervised,
		logmon:      sum.logmon / supervised / 2, // the app has one, too
		plugin:      before,
	}, errors.Join(err, afterErr, m.end(ctx, w, supervised))
}

func (m *machine) run(ctx context.Context, w way, count int) error {
	for i := range count {
		if err := w.start(ctx, m.Cluster, side{number: i}); err != nil {
			return err
		}
	}
	return agents.Within(ctx, 2*time.Minute, func(ctx context.Context) error {
		opts := (&consul.QueryOptions{}).WithContext(ctx)
		for i := range count {
			proxies, _, err := m.Consul.Client.Health().Connect(side{number: i}.name(), "", true, opts)
			if err != nil || len(proxies) != 1 {
				return errors.Join(fmt.Errorf("app-%d has %d sidecars", i, len(proxies)), err)
			}
		}
		if envoys := m.Processes("envoy"); len(envoys) != count {
			return fmt.Errorf("%d Envoys run", len(envoys))
		}
		return nil
	})
}

func (m *machine) end(ctx context.Context, w way, count int) error {
	var errs []error
	for i := range count {
		errs = append(errs, w.end(ctx, m.Cluster, side{number: i}))
	}
	return errors.Join(errs...)
}

// beside sums up the processes that the sidecars have.
func (m *machine) beside() (cost, error) {
	var sum cost
	var errs []error
	add := func(to *int, pid int) {
		memory, err := agents.PrivateMemory(pid)
		*to += memory
		errs = append(errs, err)
	}
	envoys := m.Processes("envoy")
	looksAfter := map[int]bool{}
	for _, pid := range envoys {
		add(&sum.envoy, pid)
		looksAfter[agents.Parent(pid)] = true
	}
	for _, pid := range m.Processes("") {
		switch {
		case slices.Contains(agents.CommandLine(pid), "logmon"):
			add(&sum.logmon, pid)
		case pid == m.plugin, slices.Contains(envoys, pid):
		case looksAfter[pid], agents.Parent(pid) == m.plugin:
			add(&sum.supervision, pid)
			sum.helpers++
		}
	}
	return sum, errors.Join(errs...)
}

// An idle Go program collects its garbage every two minutes, and gives what is
// free back little by little.
const settling = 2*time.Minute + 15*time.Second

// settled is the private memory of the plugin when it has settled; 0 where it
// has nothing to do with the sidecars.
func (m *machine) settled(ctx context.Context, w way) (int, error) {
	if !w.plugin {
		return 0, nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	least, err := agents.PrivateMemory(m.plugin)
	for began := time.Now(); err == nil && time.Since(began) < settling; {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
		}
		var now int
		now, err = agents.PrivateMemory(m.plugin)
		least = min(least, now)
	}
	return least, err
}
