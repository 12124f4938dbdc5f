package fake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// table is what blocking queries wait for changes of. Consul's mutex guards it.
type table struct {
	index   uint64            // of the latest change
	changed chan struct{}     // closed at the next change
	waiting int               // queries, since the latest change
	encoded map[string][]byte // answers since the latest change, by what was asked
}

func newTable() *table {
	return &table{index: 1, changed: make(chan struct{}), encoded: map[string][]byte{}}
}

// wake has all queries look again.
func (t *table) wake() {
	close(t.changed)
	t.changed, t.waiting = make(chan struct{}), 0
}

// change is to be called, with the mutex held, when tables have changed.
func (c *Consul) change(tables ...*table) {
	c.index++
	for _, t := range tables {
		t.index = c.index
		clear(t.encoded)
		t.wake()
	}
}

// Consul's limits of ?wait=.
const (
	usualWait = 5 * time.Minute
	mostWait  = 10 * time.Minute
)

// blocking answers a blocking query: at once when the index that was asked for is 0
// or older than the table's, and else when the table changes or the time is over.
// The same answer is encoded once.
func (c *Consul) blocking(w http.ResponseWriter, r *http.Request, t *table, look func() (any, error)) {
	index, wait, err := blockingParameters(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if index > 0 && !c.await(w, r, t, index, wait) {
		return
	}
	body, now, err := c.encode(t, r.URL.Path+"?"+variant(r), look)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Consul-Index", strconv.FormatUint(now, 10))
	_, _ = w.Write(body)
}

// await waits until a table is newer than an index. It tells whether there is
// something to answer still.
func (c *Consul) await(w http.ResponseWriter, r *http.Request, t *table, index uint64, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		c.mu.Lock()
		if t.index > index {
			c.mu.Unlock()
			return true
		}
		t.waiting++
		changed := t.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
			c.leave(t, changed)
			return true
		case <-r.Context().Done():
			c.leave(t, changed)
			return false
		case <-c.closed:
			panic(http.ErrAbortHandler)
		}
		if c.outOfOrder(w, r) { // it has begun to fail
			return false
		}
	}
}

// leave takes a query from those that wait, unless they were told to look again.
func (c *Consul) leave(t *table, changed chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.changed == changed {
		t.waiting--
	}
}

// encode gives an answer and the index that it is of.
func (c *Consul) encode(t *table, asked string, look func() (any, error)) ([]byte, uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if body, ok := t.encoded[asked]; ok {
		return body, t.index, nil
	}
	value, err := look()
	if err != nil {
		return nil, 0, err
	}
	body, err := json.Marshal(value)
	if err != nil {
		return nil, 0, err
	}
	t.encoded[asked] = body
	return body, t.index, nil
}

// variant is what answers of one path differ by.
func variant(r *http.Request) string {
	query := r.URL.Query()
	for _, name := range []string{"index", "wait", "stale", "consistent", "cached"} {
		query.Del(name)
	}
	return query.Encode()
}

func blockingParameters(r *http.Request) (index uint64, wait time.Duration, err error) {
	wait = usualWait
	if text := r.URL.Query().Get("index"); text != "" {
		if index, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, fmt.Errorf("Invalid index: %q", text)
		}
	}
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil {
			return 0, 0, fmt.Errorf("Invalid wait time: %q", text)
		}
	}
	return index, min(wait, mostWait), nil
}

// Watched tells whether a blocking query of the node's services waits that knows
// them as they are now.
func (c *Consul) Watched() bool { return c.isWatched(c.serviceTable) }

// HealthWatched tells it of the node's checks.
func (c *Consul) HealthWatched() bool { return c.isWatched(c.checkTable) }

func (c *Consul) isWatched(t *table) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.waiting > 0
}
