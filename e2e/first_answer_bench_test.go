package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// BenchmarkFirstAnswer measures from `nomad job run` to the first answer through
// the mesh, of this driver (without a check of the app, and with one every ten seconds)
// and of the recipe without checks, in turns: with the client up already, and with both
// jobs submitted at once.
func BenchmarkFirstAnswer(b *testing.B) {
	c := newCluster(b, agents.Options{})
	defer func() { must.NoError(b, c.Close(context.WithoutCancel(b.Context()))) }()
	for _, cold := range []bool{false, true} {
		b.Run(map[bool]string{false: "client-up", true: "from-cold"}[cold], func(b *testing.B) {
			var races []*race
			for i, w := range slices.Concat(ways, checkedWays) {
				server := side{number: 2 * i}
				r := &race{way: w, c: c, server: server, client: side{number: 2*i + 1, upstream: server.name()}, cold: cold}
				must.NoError(b, r.prepare(b.Context()))
				races = append(races, r)
			}
			for b.Loop() {
				for _, r := range races {
					must.NoError(b, r.run(b.Context()))
				}
				slices.Reverse(races) // to be the last may be an advantage
			}
			for _, r := range races {
				must.NoError(b, r.end(b.Context()))
			}
			tell(b, races)
		})
	}
}

// race is a way to the first answer, gone several times.
type race struct {
	way            way
	c              *agents.Cluster
	server, client side
	cold           bool // the client starts with the server
	times          []time.Duration
}

func (r *race) upstream() string { return fmt.Sprintf("127.0.0.1:%d", r.client.upstreamPort()) }

// prepare starts the client, where it is to be up.
func (r *race) prepare(ctx context.Context) error {
	if r.cold {
		return nil
	}
	if err := r.way.start(ctx, r.c, r.client); err != nil {
		return err
	}
	return agents.Within(ctx, time.Minute, func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", r.upstream())
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (r *race) run(ctx context.Context) error {
	sides := []side{r.server}
	if r.cold {
		sides = append(sides, r.client)
	}
	start := time.Now()
	for _, s := range sides {
		if err := r.way.start(ctx, r.c, s); err != nil {
			return err
		}
	}
	answer, err := firstAnswer(ctx, r.upstream())
	if err != nil {
		return err
	}
	r.times = append(r.times, answer.Sub(start))
	for _, s := range sides {
		if err := r.way.end(ctx, r.c, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *race) end(ctx context.Context) error {
	if r.cold {
		return nil
	}
	return r.way.end(ctx, r.c, r.client)
}

// firstAnswer asks again and again, and does not wait for an answer before it
// asks again. It gives the time of the first.
func firstAnswer(ctx context.Context, addr string) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("no answer from %s for a minute", addr))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	answers := make(chan time.Time, 1)
	for {
		select {
		case answer := <-answers:
			return answer, nil
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		case <-tick.C:
		}
		go func() {
			if answer, err := agents.SendLine(ctx, "tcp", addr, "hello"); err != nil || answer != "hello" {
				return
			}
			select {
			case answers <- time.Now():
			default: // it was not the first
			}
		}()
	}
}

// tell gives the medians as metrics, and all that was measured as a table.
func tell(b *testing.B, races []*race) {
	b.Helper()
	medians, table := map[string]float64{}, strings.Builder{}
	for _, r := range races {
		slices.Sort(r.times)
		ms := func(at int) float64 { return float64(r.times[at].Microseconds()) / 1000 }
		medians[r.way.name] = ms(len(r.times) / 2)
		fmt.Fprintf(&table, "\n%-8s median %5.0f ms, from %5.0f to %5.0f, %d times", r.way.name, medians[r.way.name], ms(0), ms(len(r.times)-1), len(r.times))
	}
	for _, r := range races {
		b.ReportMetric(medians[r.way.name], r.way.name+"-ms")
		if recipe, there := medians["recipe"]; r.way.check != "" && there {
			b.ReportMetric(medians[r.way.name]/recipe, r.way.name+"/recipe")
		} else if r.way.name != ways[0].name {
			b.ReportMetric(medians[ways[0].name]/medians[r.way.name], ways[0].name+"/"+r.way.name)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.Log(table.String())
}
