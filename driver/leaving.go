package driver

import (
	"context"
	"time"

	"nomad-driver-connect/pace"
)

// leaving is a task of which something is left behind, as when Consul was away when
// it was destroyed. It is tried again until nothing is, or the task is started again.
type leaving struct {
	cancel context.CancelFunc
	over   chan struct{}
}

const (
	leaveRetryMin = 500 * time.Millisecond
	leaveRetryMax = 3 * time.Second // nothing is left 5 s after Consul is back
)

// leave goes on to destroy a task.
func (t *tasks) leave(ctx context.Context, left *task) {
	at := placeOf(left.config)
	t.comeBack(at)
	ctx, cancel := context.WithCancel(ctx)
	l := &leaving{cancel: cancel, over: make(chan struct{})}
	t.mu.Lock()
	t.leaving[at] = l
	t.mu.Unlock()
	go func() {
		defer t.left(at, l)
		defer left.proxy.client.Close()
		retry := pace.Backoff{Min: leaveRetryMin, Max: leaveRetryMax}
		for pace.Wait(ctx, retry.Next()) == nil && left.destroy(ctx) != nil {
			// It has been said once that something is left.
		}
	}()
}

// unlessLookedAfter removes what is left at a place where nobody looks after a task. A
// task that begins there meanwhile waits until it is done: what it registers must not
// be taken for what is left.
func (t *tasks) unlessLookedAfter(at place, remove func() error) error {
	l := &leaving{cancel: func() {}, over: make(chan struct{})}
	t.mu.Lock()
	if t.lookedAfter(at) {
		t.mu.Unlock()
		return nil
	}
	t.leaving[at] = l
	t.mu.Unlock()
	defer t.left(at, l)
	return remove()
}

// left notes that nothing is left of what was leaving, or that nobody tries any more.
func (t *tasks) left(at place, l *leaving) {
	defer close(l.over) // who waits for it finds nobody in the table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leaving[at] == l {
		delete(t.leaving, at)
	}
}

// comeBack waits for the end of what is leaving at a place.
func (t *tasks) comeBack(at place) {
	t.mu.Lock()
	l := t.leaving[at]
	t.mu.Unlock()
	if l == nil {
		return
	}
	l.cancel()
	<-l.over
}
