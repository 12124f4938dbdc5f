// Package pace says how long to wait before something is done again, so that
// the sidecars of a node do not all do it at the same moment, and nothing that
// is in trouble is asked more often than it can bear.
package pace

import (
	"context"
	"math/rand/v2"
	"time"
)

// Jitter gives a time between half of d and one and a half.
func Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d/2 + rand.N(d)
}

// beat is what clocks of a node that are in no hurry are rounded up to: those that
// wake together cost a fraction of those that wake one by one.
const beat = 250 * time.Millisecond

// Beat gives a time as Jitter does, at whose end others of this process wake, too.
func Beat(d time.Duration) time.Duration {
	return time.Until(time.Now().Add(Jitter(d)).Truncate(beat).Add(beat))
}

// Backoff waits longer each time: from Min, doubled up to Max, with jitter. Min
// must be positive.
type Backoff struct {
	Min, Max time.Duration

	next time.Duration
}

// Next is how long to wait now.
func (b *Backoff) Next() time.Duration {
	now := max(b.next, b.Min)
	b.next = min(2*now, b.Max)
	return min(Jitter(now), b.Max)
}

// Reset begins anew, since it went well.
func (b *Backoff) Reset() { b.next = 0 }

// Wait waits for d; the error says that ctx ended before.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Retry does something again and again until it goes well, until it fails in a way that
// does not pass, or until ctx has ended. The error is the last one.
func Retry(ctx context.Context, pause Backoff, passes func(error) bool, do func() error) error {
	for {
		if err := do(); err == nil || !passes(err) || Wait(ctx, pause.Next()) != nil {
			return err
		}
	}
}
