package consul

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	watchWait      = 5 * time.Minute  // of one blocking query
	watchRetry     = time.Second      // after a failure; doubled up to
	watchHiddenMax = 15 * time.Second // while Consul does not show the node

	// bringBack is how long Nomad may take to register again what Consul has
	// lost: it looks every 30 seconds.
	bringBack = 35 * time.Second
)

// Watch follows the services of a node in Consul's catalog, once for all
// sidecars on it: the agent's own list cannot be waited on. The zero value is
// ready.
type Watch struct {
	mu        sync.Mutex
	followers map[string]chan bool // by service ID
	seen      map[string]bool      // service IDs; nil before the first answer
	forgotten time.Time            // when Consul was seen to have lost its data
}

// Follow gives what becomes of a service: false when it has gone from the
// catalog, true when it is back, or when Consul is and has it. Only the latest is
// kept for a slow reader. A service that was never seen has not gone. Unfollow
// ends it.
func (w *Watch) Follow(id string) <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.followers == nil {
		w.followers = map[string]chan bool{}
	}
	changes := make(chan bool, 1)
	w.followers[id] = changes
	return changes
}

// Unfollow ends what Follow began.
func (w *Watch) Unfollow(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.followers, id)
}

// Forgot tells whether Consul has just lost its data: what is gone from it was
// not withdrawn then, and Nomad is about to bring its services back.
func (w *Watch) Forgot() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.forgotten) < bringBack
}

// Run follows a node until the context ends. A Consul that is away, or a token
// that may not see the node, is no news of any service; what is wrong is told
// once.
func (w *Watch) Run(ctx context.Context, c *Client, node string, complain func(error)) {
	known, index, retry, told := nodeCatalog{}, uint64(0), watchRetry, ""
	for ctx.Err() == nil {
		next, err := c.nodeCatalog(ctx, node, index)
		if err == nil {
			back := index == 0 && known.index > 0
			w.update(next.services, back, back && next.isAnew(known)) // data is lost while it is away
			known, index, retry, told = next, next.after(index), watchRetry, ""
			continue
		}
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			complain(err)
		}
		index = 0
		timer := time.NewTimer(retry/2 + rand.N(retry/2)) // not all nodes at once
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		retry = min(2*retry, retryLimit(err))
	}
}

// update tells the followers whose service has come or gone, and all others
// whose service is there when Consul is back.
func (w *Watch) update(ids map[string]bool, back, forgot bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if forgot {
		w.forgotten = time.Now()
	}
	for id, changes := range w.followers {
		if w.seen[id] == ids[id] && (!back || !ids[id]) {
			continue
		}
		select {
		case <-changes: // nobody has read the one before
		default:
		}
		changes <- ids[id]
	}
	w.seen = ids
}

// nodeCatalog is what Consul's catalog has of a node.
type nodeCatalog struct {
	index    uint64
	node     string // its ID, which is kept with the agent's data
	created  uint64 // the index at which it was registered
	services map[string]bool
}

// isAnew tells whether the node was registered anew since the catalog was known
// as it was before, or all of the catalog begun anew. Two catalogs may have
// registered it at the same index, and an agent may keep its ID.
func (n nodeCatalog) isAnew(before nodeCatalog) bool {
	return n.index < before.index || n.node != before.node || n.created != before.created
}

// after is the index to wait for more at. One that goes backwards begins anew.
func (n nodeCatalog) after(index uint64) uint64 {
	if n.index < index {
		return 0
	}
	return n.index
}

// errHidden is Consul's silence about a node.
var errHidden = errors.New("Consul does not show it; the plugin's token needs node:read and service:read")

// retryLimit is how long a failure may keep the watch waiting: what a Consul has
// lost is missed until it is asked again.
func retryLimit(err error) time.Duration {
	if errors.Is(err, errHidden) {
		return watchHiddenMax
	}
	return watchRetry
}

// nodeCatalog asks for a node's services in the catalog, and waits until they
// differ from those at index.
func (c *Client) nodeCatalog(ctx context.Context, node string, index uint64) (nodeCatalog, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchWait/8) // Consul adds up to a sixteenth
	defer cancel()
	opts := (&api.QueryOptions{Token: c.AgentToken(), WaitIndex: index, WaitTime: watchWait}).WithContext(ctx)
	list, meta, err := c.client.Catalog().NodeServiceList(node, opts)
	if err != nil {
		return nodeCatalog{}, c.unreachable("follow the services of node "+node, err)
	}
	if list == nil || list.Node == nil {
		return nodeCatalog{}, fmt.Errorf("follow the services of node %s: %w", node, errHidden)
	}
	found := nodeCatalog{index: meta.LastIndex, node: list.Node.ID, created: list.Node.CreateIndex, services: make(map[string]bool, len(list.Services))}
	for _, svc := range list.Services {
		found.services[svc.ID] = true
	}
	return found, nil
}
