package consul

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// bringBack is how long Nomad may take to register again what Consul has
	// lost: it looks every 30 seconds.
	bringBack = 35 * time.Second

	// perFollower spreads what concerns many: Consul is asked by each of them.
	perFollower = 2 * time.Millisecond
)

// Watch follows the services of a node in Consul's catalog, their checks and the
// central configuration, once for all sidecars on it: the agent's own list cannot
// be waited on. It tells that something has changed; what, the agent knows
// first. The zero value is ready.
type Watch struct {
	mu        sync.Mutex
	followers map[string]map[*follower]bool // by service ID
	services  digests                       // nil before the first answer
	checks    digests
	count     int       // of followers
	central   uint64    // 0 before the first answer
	forgotten time.Time // when Consul was seen to have lost its data
	away      bool      // it has answered before, and does not now
}

// digests stand for what was last seen, by service ID.
type digests map[string]uint64

// follower is told of its services, id's checks included.
type follower struct {
	id   string
	news chan struct{}
}

// Follow tells when a service changes, its checks or its part of the central
// configuration, or when one of the others does; and when Consul is back and has
// it. News that nobody has read yet are one. stop ends it.
func (w *Watch) Follow(id string, others ...string) (news <-chan struct{}, stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.followers == nil {
		w.followers = map[string]map[*follower]bool{}
	}
	w.count++
	f, ids := &follower{id: id, news: make(chan struct{}, 1)}, append(others, id)
	for _, id := range ids {
		if w.followers[id] == nil {
			w.followers[id] = map[*follower]bool{}
		}
		w.followers[id][f] = true
	}
	return f.news, sync.OnceFunc(func() { w.unfollow(f, ids) })
}

func (w *Watch) unfollow(f *follower, ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	for _, id := range ids {
		if delete(w.followers[id], f); len(w.followers[id]) == 0 {
			delete(w.followers, id)
		}
	}
}

// Followers is how many follow.
func (w *Watch) Followers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

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

// Has tells whether the catalog had a service when it last answered.
func (w *Watch) Has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.services[id] != 0
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
		{"follow the services of node " + node, catalog.ask},
		{"follow the checks of node " + node, func(ctx context.Context, c *Client, index uint64) (uint64, error) {
			return w.askChecks(ctx, c, node, index)
		}},
		{"follow proxy-defaults", w.askCentral},
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

// sawServices tells those whose service is another than it was. When Consul is
// back it tells all whose service is there; forgot says that it has lost its data.
func (w *Watch) sawServices(now digests, back, forgot bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if forgot {
		w.forgotten = time.Now()
	}
	tell(w.those(func(id string, _ *follower) bool {
		was, is := w.services[id], now[id]
		return was != is || (back && is != 0)
	}))
	w.services, w.away = now, false
}

func (w *Watch) sawChecks(now digests) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.those(func(id string, f *follower) bool {
		return f.id == id && w.checks != nil && w.checks[id] != now[id]
	}))
	w.checks = now
}

// sawCentral tells everybody when the central configuration has changed.
func (w *Watch) sawCentral(now uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.those(func(string, *follower) bool { return w.central != 0 && w.central != now }))
	w.central = now
}

// those are the followers whom a change concerns, by the IDs that they follow.
func (w *Watch) those(concerned func(id string, f *follower) bool) map[*follower]bool {
	told := map[*follower]bool{}
	for id, followers := range w.followers {
		for f := range followers {
			if concerned(id, f) {
				told[f] = true
			}
		}
	}
	return told
}

func tell(told map[*follower]bool) {
	for f := range told {
		send := func() {
			select {
			case f.news <- struct{}{}:
			default: // nobody has read the one before
			}
		}
		if len(told) < 16 {
			send()
			continue
		}
		time.AfterFunc(rand.N(time.Duration(len(told))*perFollower), send)
	}
}
