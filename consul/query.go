package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http/httptrace"
	"net/url"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/time/rate"

	"nomad-driver-connect/pace"
)

const (
	queryWait = 5 * time.Minute // of one blocking query

	// Each answer is about all services of the node, and there may be thousands. So
	// there are queryShare of each between two answers on average, but never more than
	// queryPause. queryBurst changes that come close together after a quiet time are
	// each heard at once.
	queryShare = 500 * time.Microsecond
	queryLeast = 50 * time.Millisecond
	queryPause = time.Second
	queryBurst = 5

	queryRetry     = 500 * time.Millisecond // after a failure; doubled up to
	queryRetryMax  = 2 * time.Second        // what a Consul has lost is missed until it is asked again
	queryHiddenMax = 15 * time.Second       // while Consul does not show the node
)

// query is a blocking one that is asked again and again. ask waits for what
// differs from the answer at index, 0 for at once, and gives the index of that.
type query struct {
	doing string
	pause func() time.Duration // between two answers, on average
	ask   func(ctx context.Context, c *Client, index uint64) (uint64, error)
}

// run asks until ctx ends. After a failure all is asked anew, and so it is after
// an index that went backwards. A failure is reported once, until it changes.
func (q query) run(ctx context.Context, c *Client, complain func(error)) {
	index, told := uint64(0), ""
	retry := pace.Backoff{Min: queryRetry, Max: queryRetryMax}
	answers := rate.NewLimiter(rate.Every(q.pause()), queryBurst)
	for ctx.Err() == nil {
		next, err := q.once(ctx, c, index)
		if err == nil {
			if next < index {
				next = 0
			}
			index, told = next, ""
			retry.Reset()
			answers.SetLimit(rate.Every(q.pause()))
			_ = answers.Wait(ctx)
			continue
		}
		if index = 0; errors.Is(err, errRestarted) {
			continue
		}
		err = q.sentence(c, err)
		if ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			complain(err)
		}
		if retry.Max = queryRetryMax; errors.Is(err, errHidden) {
			retry.Max = queryHiddenMax
		}
		_ = pace.Wait(ctx, retry.Next())
	}
}

// errRestarted says that the agent has been started anew since its last answer.
var errRestarted = errors.New("its agent was started anew")

// once asks on the connection of the last answer, the only one of the client. Where
// that is closed the agent has ended. An agent that has lost its data would not
// answer the question of before for as long as its index is lower.
func (q query) once(ctx context.Context, c *Client, index uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, queryWait+queryWait/8) // Consul adds up to a sixteenth
	defer cancel()
	ctx, restarted := context.WithCancelCause(ctx)
	defer restarted(nil)
	next, err := q.ask(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(conn httptrace.GotConnInfo) {
			if index > 0 && !conn.Reused {
				restarted(errRestarted)
			}
		},
	}), c, index)
	if errors.Is(context.Cause(ctx), errRestarted) {
		return 0, errRestarted
	}
	return next, err
}

func (q query) sentence(c *Client, err error) error {
	if errors.Is(err, errHidden) || errors.Is(err, errNoNode) {
		return fmt.Errorf("%s: %w", q.doing, err)
	}
	return c.unanswered(q.doing, c.agentBearer(), err)
}

// errHidden is Consul's silence about a node.
var errHidden = errors.New("Consul does not show it; the plugin's token needs node:read and service:read")

// errNoNode is its silence about one that it knew before: it has lost its data, and
// the agent is about to register the node again.
var errNoNode = errors.New("Consul does not know it any more; its agent is about to register it again")

// get asks for JSON with the operator's token. The index is that of the answer;
// 0 when somebody between us and Consul has dropped it.
func (c *Client) get(ctx context.Context, path string, index uint64, opts api.QueryOptions, out any) (uint64, error) {
	opts.Token, opts.WaitIndex, opts.WaitTime = c.Tokens().Agent, index, queryWait
	meta, err := c.client.Raw().Query(path, out, (&opts).WithContext(ctx))
	if err != nil {
		return 0, err
	}
	return meta.LastIndex, nil
}

// catalogQuery follows the services of a node, and how the catalog was before.
type catalogQuery struct {
	watch  *Watch
	node   string
	before nodeCatalog // known of the last answer
}

// nodeCatalog tells one life of a catalog from another.
type nodeCatalog struct {
	index   uint64
	node    string // its ID, which is kept with the agent's data
	created uint64 // the index at which it was registered
}

// isAnew tells whether the node was registered anew since the catalog was known
// as it was before, or all of the catalog begun anew. Two catalogs may have
// registered it at the same index, and an agent may keep its ID.
func (n nodeCatalog) isAnew(before nodeCatalog) bool {
	return n.index < before.index || n.node != before.node || n.created != before.created
}

// ask also tells the watch what it has seen.
func (q *catalogQuery) ask(ctx context.Context, c *Client, index uint64) (uint64, error) {
	var list struct {
		Node     *api.Node
		Services []json.RawMessage
	}
	opts := api.QueryOptions{MergeCentralConfig: true}
	next, err := c.get(ctx, "/v1/catalog/node-services/"+url.PathEscape(q.node), index, opts, &list)
	switch {
	case err == nil && list.Node == nil && q.before.node != "":
		err = errNoNode
	case err == nil && list.Node == nil:
		err = errHidden
	}
	if err != nil {
		q.watch.lostTouch()
		return 0, err
	}
	seen := make(digests, len(list.Services))
	for _, raw := range list.Services {
		var svc struct{ ID string }
		if err := json.Unmarshal(raw, &svc); err != nil {
			return 0, err
		}
		seen[svc.ID] = digest(raw)
	}
	now := nodeCatalog{index: next, node: list.Node.ID, created: list.Node.CreateIndex}
	back := index == 0 && q.before.index > 0 // data is lost while it is away
	q.watch.sawServices(seen, back, back && now.isAnew(q.before))
	q.before = now
	return next, nil
}

// askChecks digests those of a node's services: which there are, what their status
// is and whether they were ever run. (What they print changes all the time.)
func (w *Watch) askChecks(ctx context.Context, c *Client, node string, index uint64) (uint64, error) {
	var checks []struct{ ServiceID, CheckID, Status, Output string }
	next, err := c.get(ctx, "/v1/health/node/"+url.PathEscape(node), index, api.QueryOptions{}, &checks)
	if err != nil {
		return 0, err
	}
	seen := digests{}
	for _, check := range checks {
		seen[check.ServiceID] += digest(fmt.Appendf(nil, "%s\x00%s\x00%t", check.CheckID, check.Status, check.Output != ""))
	}
	w.sawChecks(seen)
	return next, nil
}

// askCentral waits for a change of that part of the central configuration which
// is not merged into services: the access logs of proxy-defaults.
func (w *Watch) askCentral(ctx context.Context, c *Client, index uint64) (uint64, error) {
	var entries json.RawMessage
	next, err := c.get(ctx, "/v1/config/"+api.ProxyDefaults, index, api.QueryOptions{}, &entries)
	if err == nil {
		w.sawCentral(digest(entries))
	}
	return next, err
}

func digest(content []byte) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write(content)
	return hash.Sum64() | 1 // 0 stands for what is not there
}
