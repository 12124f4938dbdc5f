package agents

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Load opens new connections at a steady rate, and wants the right answer on each.
// It does not wait for one before it opens the next.
type Load struct {
	stop context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	report LoadReport
	last   time.Time // of the latest success
	failed time.Time // of the first failure
}

// LoadReport is what became of the connections.
type LoadReport struct {
	Sent, Failed int
	FirstFailure error
	LastFailure  time.Time     // when the last of those began that failed
	FailedFor    time.Duration // from the beginning of the first that failed to that of the last
	LongestGap   time.Duration // between two successes
	LongestWait  time.Duration // for an answer that was right
}

func (r LoadReport) String() string {
	return fmt.Sprintf("%d of %d failed in %d ms, longest gap %d ms, longest wait %d ms",
		r.Failed, r.Sent, r.FailedFor.Milliseconds(), r.LongestGap.Milliseconds(), r.LongestWait.Milliseconds())
}

// Ask makes one connection, the nth, and says whether the answer was right.
type Ask func(ctx context.Context, n int) error

// AskEcho sends a line and wants it back.
func AskEcho(addr string) Ask {
	return func(ctx context.Context, n int) error {
		line := fmt.Sprintf("line %d", n)
		answer, err := SendLine(ctx, "tcp", addr, line)
		if err == nil && answer != line {
			err = fmt.Errorf("sent %q, got %q back", line, answer)
		}
		return err
	}
}

// StartLoad begins at once; rate is in connections a second.
func StartLoad(ctx context.Context, ask Ask, rate int) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{stop: stop, done: make(chan struct{}), last: time.Now()}
	go l.run(ctx, ask, time.Second/time.Duration(rate))
	return l
}

// Stop lets the connections that are open come to their end, and reports.
func (l *Load) Stop() LoadReport {
	l.stop()
	<-l.done
	return l.report
}

func (l *Load) run(ctx context.Context, ask Ask, interval time.Duration) {
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
			start := time.Now()
			l.count(start, ask(context.WithoutCancel(ctx), n))
		})
	}
}

func (l *Load) count(start time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Sent++
	if err != nil {
		l.report.Failed++
		if l.report.FirstFailure == nil {
			l.report.FirstFailure = fmt.Errorf("at %s: %w", start.Format("15:04:05.000"), err)
			l.failed = start
		}
		l.report.FailedFor = max(l.report.FailedFor, start.Sub(l.failed))
		if start.After(l.report.LastFailure) {
			l.report.LastFailure = start
		}
		return
	}
	l.report.LongestWait = max(l.report.LongestWait, time.Since(start))
	l.report.LongestGap = max(l.report.LongestGap, time.Since(l.last))
	l.last = time.Now()
}
