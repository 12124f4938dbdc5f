package consul

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Interest is what a follower wants to hear of.
type Interest struct {
	IDs   []string // of services: what they are, and how their checks are
	Group string   // what the IDs of services begin with that may come in their place; empty for none
}

// Follower is told when a service changes, its checks or its part of the central
// configuration; when another of its group comes while one is missing; and when Consul is back and has
// one of its services.
type Follower struct {
	News <-chan struct{} // news that nobody has read yet are one
	Stop func()          // ends it; it may be repeated

	watch *Watch
	what  Interest
	news  chan struct{}
}

// index finds followers.
type index map[string]map[*Follower]bool

func (x index) add(key string, f *Follower) {
	if x[key] == nil {
		x[key] = map[*Follower]bool{}
	}
	x[key][f] = true
}

func (x index) remove(key string, f *Follower) {
	if delete(x[key], f); len(x[key]) == 0 {
		delete(x, key)
	}
}

// Follow begins to follow.
func (w *Watch) Follow(what Interest) *Follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID, w.byGroup = index{}, index{}
	}
	w.count++
	news := make(chan struct{}, 1)
	f := &Follower{News: news, watch: w, news: news}
	f.Stop = sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count--
		f.forget()
	})
	f.take(what)
	return f
}

// Change has it follow something else from now on, under the same News.
func (f *Follower) Change(what Interest) {
	f.watch.mu.Lock()
	defer f.watch.mu.Unlock()
	f.forget()
	f.take(what)
}

func (f *Follower) take(what Interest) {
	f.what = what
	for _, id := range what.IDs {
		f.watch.byID.add(id, f)
	}
	if what.Group != "" {
		f.watch.byGroup.add(what.Group, f)
	}
}

func (f *Follower) forget() {
	for _, id := range f.what.IDs {
		f.watch.byID.remove(id, f)
	}
	f.watch.byGroup.remove(f.what.Group, f)
}

// Followers is how many follow.
func (w *Watch) Followers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// perRequest is what each follower adds to the time between two of the requests that all
// of them make: a thousand make 3 a second together.
const perRequest = 300 * time.Millisecond

// Share is the time between two requests of one follower, of which there may be many.
func (w *Watch) Share(least time.Duration) time.Duration {
	return max(least, time.Duration(w.Followers())*perRequest)
}

// sawServices tells those whose service is another than it was, or new in their
// group. When Consul is back it tells all whose service is there; forgot says that it
// has lost its data.
func (w *Watch) sawServices(now digests, back, forgot bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if forgot {
		w.forgotten = time.Now()
	}
	told := w.those(func(id string) bool {
		was, is := w.services[id], now[id]
		return was != is || (back && is != 0)
	})
	if w.services != nil {
		w.addNewcomers(told, now)
	}
	tell(told)
	w.services, w.away = now, false
}

// addNewcomers adds those that miss one of their services, and in whose group there is
// another that was not there before.
func (w *Watch) addNewcomers(told map[*Follower]bool, now digests) {
	for id := range now {
		if w.services[id] != 0 {
			continue
		}
		for group, followers := range w.byGroup {
			if !strings.HasPrefix(id, group) {
				continue
			}
			for f := range followers {
				if f.misses(now) {
					told[f] = true
				}
			}
		}
	}
}

// misses tells whether one of its services is not there.
func (f *Follower) misses(now digests) bool {
	return slices.ContainsFunc(f.what.IDs, func(id string) bool { return now[id] == 0 })
}

func (w *Watch) sawChecks(now digests) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.those(func(id string) bool { return w.checks[id] != now[id] }))
	w.checks = now
}

// sawCentral tells everybody when the central configuration has changed.
func (w *Watch) sawCentral(now uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell(w.those(func(string) bool { return w.central != 0 && w.central != now }))
	w.central = now
}

// those are the followers whom a change concerns, by the IDs that they follow.
func (w *Watch) those(concerned func(id string) bool) map[*Follower]bool {
	told := map[*Follower]bool{}
	for id, followers := range w.byID {
		if !concerned(id) {
			continue
		}
		for f := range followers {
			told[f] = true
		}
	}
	return told
}

// perFollower spreads what concerns many: Consul is asked by each of them.
const perFollower = 2 * time.Millisecond

func tell(told map[*Follower]bool) {
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
