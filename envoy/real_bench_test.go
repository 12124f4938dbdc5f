package envoy

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// BenchmarkReal_confined measures what confinement costs, in pairs of which each goes
// first in turns: from the start of an Envoy until it is live, how many requests it
// answers in a second, and what both take of the CPU, which does not depend on what else
// the machine does.
func BenchmarkReal_confined(b *testing.B) {
	if *realEnvoys == "" {
		b.Skip("it needs a real Envoy (-envoys)")
	}
	confined, free := &confinedSide{confine: ConfineRequired}, &confinedSide{confine: ConfineOff}
	sides := []*confinedSide{confined, free}
	for b.Loop() {
		for _, s := range sides {
			s.run(b, strings.Split(*realEnvoys, ",")[0])
		}
		slices.Reverse(sides)
	}
	for name, of := range map[string]func(*confinedSide) []float64{
		"start-s":     func(s *confinedSide) []float64 { return s.starts },
		"start-cpu-s": func(s *confinedSide) []float64 { return s.startCPU },
		"req/s":       func(s *confinedSide) []float64 { return s.rates },
		"cpu-us/req":  func(s *confinedSide) []float64 { return s.costs },
	} {
		b.ReportMetric(median(of(confined)), "confined-"+name)
		b.ReportMetric(median(of(confined))/median(of(free)), "confined/off-"+name)
	}
	b.ReportMetric(0, "ns/op")
}

// confinedSide is one of a pair.
type confinedSide struct {
	confine                        Confine
	starts, startCPU, rates, costs []float64
}

func (s *confinedSide) run(b *testing.B, path string) {
	g := newGenerations(b, path, 1)
	g.confine = s.confine
	began := time.Now()
	p := g.start(0)
	g.ready(0)
	s.starts = append(s.starts, time.Since(began).Seconds())
	idle := cpu(b, p)
	s.startCPU = append(s.startCPU, idle)
	asked, took := ask(b, g.tcp)
	s.rates = append(s.rates, float64(asked)/took.Seconds())
	s.costs = append(s.costs, (cpu(b, p)-idle)*1e6/float64(asked))
	must.NoError(b, p.Signal(syscall.SIGKILL))
	<-p.Done()
}

// cpu are the seconds that a process has had.
func cpu(b *testing.B, p *process.Process) float64 {
	b.Helper()
	usage, err := p.Usage()
	must.NoError(b, err)
	return (usage.User + usage.System).Seconds()
}

// ask asks on a few connections for a while, and gives how often.
func ask(b *testing.B, address string) (asked int64, took time.Duration) {
	const connections, while = 4, 2 * time.Second
	began := time.Now()
	var all sync.WaitGroup
	var answered atomic.Int64
	for range connections {
		all.Go(func() {
			client := http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for time.Since(began) < while {
				resp, err := client.Get("http://" + address + "/")
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				answered.Add(1)
			}
		})
	}
	all.Wait()
	return answered.Load(), time.Since(began)
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
