package driver

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// TaskStats implements drivers.DriverPlugin. The channel is closed when the
// task has ended or ctx has.
func (p *Plugin) TaskStats(ctx context.Context, id string, interval time.Duration) (<-chan *drivers.TaskResourceUsage, error) {
	t, err := p.tasks.get(id)
	if err != nil {
		return nil, err
	}
	out := make(chan *drivers.TaskResourceUsage)
	go p.sampleTask(ctx, t.sidecar, interval, out)
	return out, nil
}

func (p *Plugin) sampleTask(ctx context.Context, s *sidecar.Sidecar, interval time.Duration, out chan<- *drivers.TaskResourceUsage) {
	defer close(out)
	meter := newMeter(p.config.Load().compute)
	tick := time.NewTicker(max(interval, time.Second))
	defer tick.Stop()
	for {
		usage, err := s.Usage()
		if err != nil {
			return // the process has ended
		}
		select {
		case out <- meter.sample(usage):
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// meter turns times that grow into rates.
type meter struct{ user, system, total *cpustats.Tracker }

func newMeter(compute cpustats.Compute) meter {
	return meter{cpustats.New(compute), cpustats.New(compute), cpustats.New(compute)}
}

func (m meter) sample(u process.Usage) *drivers.TaskResourceUsage {
	total := m.total.Percent(float64((u.User + u.System).Nanoseconds()))
	usage := &drivers.ResourceUsage{
		CpuStats: &drivers.CpuStats{
			UserMode:   m.user.Percent(float64(u.User.Nanoseconds())),
			SystemMode: m.system.Percent(float64(u.System.Nanoseconds())),
			Percent:    total,
			TotalTicks: m.total.TicksConsumed(total),
			Measured:   []string{"System Mode", "User Mode", "Percent"},
		},
		MemoryStats: &drivers.MemoryStats{RSS: u.RSS, Measured: []string{"RSS"}},
	}
	if u.Group != nil {
		addGroup(usage, *u.Group)
	}
	return &drivers.TaskResourceUsage{ResourceUsage: usage, Timestamp: time.Now().UTC().UnixNano()}
}

// addGroup adds what is known of a cgroup only.
func addGroup(usage *drivers.ResourceUsage, g process.GroupUsage) {
	cpu, memory := usage.CpuStats, usage.MemoryStats
	cpu.ThrottledPeriods, cpu.ThrottledTime = g.ThrottledPeriods, uint64(g.Throttled.Nanoseconds())
	cpu.Measured = append(cpu.Measured, "Throttled Periods", "Throttled Time")
	memory.Usage, memory.MaxUsage = g.Memory, g.MaxMemory
	memory.Cache, memory.Swap, memory.KernelUsage = g.Cache, g.Swap, g.Kernel
	memory.Measured = append(memory.Measured, "Cache", "Swap", "Usage", "Max Usage", "Kernel Usage")
}
