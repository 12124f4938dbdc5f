package consul

import (
	"context"
	"sync"
	"time"
)

// bringBack is how long Nomad may take to register again what Consul has
// lost: it looks every 30 seconds.
const bringBack = 35 * time.Second

// Watch follows the services of a node in Consul's catalog, their checks and the
// central configuration, once for all sidecars on it: the agent's own list cannot
// be waited on. It tells that something has changed; what, the agent knows
// first. The zero value is ready.
type Watch struct {
	mu        sync.Mutex
	byID      index   // who follows a service
	byGroup   index   // who follows the services of a group
	services  digests // nil before the first answer
	checks    digests
	count     int       // of followers
	central   uint64    // 0 before the first answer
	forgotten time.Time // when Consul was seen to have lost its data
	away      bool      // it has answered before, and does not now
}

// digests stand for what was last seen, by service ID.
type digests map[string]uint64

// Forgot tells whether Consul has just lost its data: what is gone from it was
// not withdrawn then, and Nomad is about to bring its services back.
func (w *Watch) Forgot() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.forgotten) < bringBack
}

// InTouch tells whether the catalog answers, as far as is known: an agent that has
// just started, and has no leader yet, does not know what is so.
func (w *Watch) InTouch() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.away
}

// Sees tells whether the catalog shows the node, and answers.
func (w *Watch) Sees() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.services != nil && !w.away
}

// Has tells whether the catalog had a service when it last answered.
func (w *Watch) Has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.services[id] != 0
}

// Follows tells whether it is heard what becomes of a service and of its checks. A
// token may not see them, and another namespace, partition or agent is not looked at.
func (w *Watch) Follows(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.services[id] != 0 && !w.away && w.checks != nil
}

// lostTouch notes that the catalog does not answer. A catalog that never answered may
// be hidden from us by ACLs.
func (w *Watch) lostTouch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = w.services != nil
}

// Run follows a node until ctx ends. Each of three queries has a connection of its
// own. A Consul that is away, or a token that may not see the node, is no news of any
// service; what is wrong is told once.
func (w *Watch) Run(ctx context.Context, c *Client, node string, complain func(error)) {
	catalog := catalogQuery{watch: w, node: node}
	var all sync.WaitGroup
	for _, q := range []query{
		{"follow the services of node " + node, w.pause, catalog.ask},
		{"follow the checks of node " + node, w.pause, func(ctx context.Context, c *Client, index uint64) (uint64, error) {
			return w.askChecks(ctx, c, node, index)
		}},
		{"follow proxy-defaults", w.pause, w.askCentral},
	} {
		own, err := c.separate()
		if err != nil {
			complain(err)
			continue
		}
		all.Go(func() {
			defer own.Close()
			q.run(ctx, own, complain)
		})
	}
	all.Wait()
}

// pause is the average time between two answers about as many services as there are.
func (w *Watch) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(max(queryLeast, time.Duration(len(w.services))*queryShare), queryPause)
}
