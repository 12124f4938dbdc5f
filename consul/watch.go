package consul

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

const (
	watchWait     = 5 * time.Minute // of one blocking query
	watchRetry    = time.Second     // after a failure, doubled up to
	watchRetryMax = 15 * time.Second
)

// Watch follows the services of a node in Consul's catalog, once for all
// sidecars on it: the agent's own list cannot be waited on. The zero value is
// ready.
type Watch struct {
	mu        sync.Mutex
	followers map[string]chan bool // by service ID
	seen      map[string]bool      // service IDs; nil before the first answer
}

// Follow gives what becomes of a service: false when it has gone from the
// catalog, true when it is back. Only the latest is kept for a slow reader. A
// service that was never seen has not gone. Unfollow ends it.
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

// Run follows a node until the context ends. A Consul that is away, or a token
// that may not see the node, is no news of any service.
func (w *Watch) Run(ctx context.Context, c *Client, node string, complain func(error)) {
	index, retry := uint64(0), watchRetry
	for ctx.Err() == nil {
		ids, next, err := c.nodeServices(ctx, node, index)
		if err == nil {
			w.update(ids)
			index, retry = next, watchRetry
			continue
		}
		if ctx.Err() == nil {
			complain(err)
		}
		index = 0
		timer := time.NewTimer(retry/2 + rand.N(retry/2)) // not all nodes at once
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		retry = min(2*retry, watchRetryMax)
	}
}

// update tells the followers whose service has come or gone.
func (w *Watch) update(ids map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, changes := range w.followers {
		if w.seen[id] == ids[id] {
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

// nodeServices are the IDs of a node's services in the catalog, once they
// differ from those at index.
func (c *Client) nodeServices(ctx context.Context, node string, index uint64) (map[string]bool, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, watchWait+watchWait/8) // Consul adds up to a sixteenth
	defer cancel()
	opts := (&api.QueryOptions{Token: c.cfg.AgentToken, WaitIndex: index, WaitTime: watchWait}).WithContext(ctx)
	list, meta, err := c.client.Catalog().NodeServiceList(node, opts)
	if err != nil {
		return nil, 0, c.unreachable("follow the services of node "+node, err)
	}
	if list == nil || list.Node == nil {
		return nil, 0, errors.New("follow the services of node " + node + ": Consul does not show it; the plugin's token needs node:read and service:read")
	}
	ids := make(map[string]bool, len(list.Services))
	for _, svc := range list.Services {
		ids[svc.ID] = true
	}
	next := meta.LastIndex
	if next < index { // the servers have lost their data
		next = 0
	}
	return ids, next, nil
}
