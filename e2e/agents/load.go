package agents

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Load opens new connections at a steady rate, sends a line on each and wants
// it back. It does not wait for one before it opens the next.
type Load struct {
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	report LoadReport
	last   time.Time // of the latest success
}

// LoadReport is what became of the connections.
type LoadReport struct {
	Sent, Failed int
	FirstFailure error
	LongestGap   time.Duration // between two successes
}

func (r LoadReport) String() string {
	return fmt.Sprintf("%d of %d failed, longest gap %d ms", r.Failed, r.Sent, r.LongestGap.Milliseconds())
}

// StartLoad begins at once; rate is in connections a second.
func StartLoad(ctx context.Context, addr string, rate int) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{stop: stop, done: make(chan struct{}), last: time.Now()}
	go l.run(ctx, addr, time.Second/time.Duration(rate))
	return l
}

// Stop lets the connections that are open come to their end, and reports.
func (l *Load) Stop() LoadReport {
	l.stop()
	<-l.done
	return l.report
}

func (l *Load) run(ctx context.Context, addr string, interval time.Duration) {
	defer close(l.done)
	var open sync.WaitGroup
	defer open.Wait()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open.Go(func() {
			line := fmt.Sprintf("line %d", n)
			answer, err := SendLine(context.WithoutCancel(ctx), "tcp", addr, line)
			if err == nil && answer != line {
				err = fmt.Errorf("sent %q, got %q back", line, answer)
			}
			l.count(err)
		})
	}
}

func (l *Load) count(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Sent++
	if err != nil {
		l.report.Failed++
		if l.report.FirstFailure == nil {
			l.report.FirstFailure = fmt.Errorf("at %s: %w", time.Now().Format("15:04:05.000"), err)
		}
		return
	}
	l.report.LongestGap = max(l.report.LongestGap, time.Since(l.last))
	l.last = time.Now()
}
