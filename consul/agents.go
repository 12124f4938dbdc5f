package consul

import (
	"context"
	"sync"
	"time"

	"nomad-driver-connect/files"
)

// Agents remembers for a short while what agents said of themselves, for
// everybody on the node who asks the same one. The zero value is ready.
type Agents struct{ known sync.Map } // of agentKey to agentAnswer

// key tells clients apart whose agents answer differently, and answers to which another
// CA belongs.
func (c *Client) key() agentKey {
	return agentKey{c.cfg.Address, c.cfg.GRPCAddress, c.cfg.GRPCCAFile, files.StampOf(c.cfg.GRPCCAFile)}
}

type (
	agentKey struct {
		address, grpcAddress, grpcCAFile string

		ca files.Stamp
	}
	agentAnswer struct {
		info AgentInfo
		at   time.Time
	}
)

// agentTTL is how old an answer may be; an agent changes its ports only by a
// restart.
const agentTTL = time.Minute

// Info is the client's Info, or a fresh enough answer to it.
func (a *Agents) Info(ctx context.Context, c *Client) (AgentInfo, error) {
	if known, ok := a.known.Load(c.key()); ok && time.Since(known.(agentAnswer).at) < agentTTL {
		return known.(agentAnswer).info, nil
	}
	return a.Refresh(ctx, c)
}

// Refresh asks the agent anew and remembers its answer.
func (a *Agents) Refresh(ctx context.Context, c *Client) (AgentInfo, error) {
	info, err := c.Info(ctx)
	if err != nil {
		a.known.Delete(c.key())
		return info, err
	}
	a.known.Range(func(other, answer any) bool {
		if time.Since(answer.(agentAnswer).at) > agentTTL {
			a.known.Delete(other)
		}
		return true
	})
	a.known.Store(c.key(), agentAnswer{info: info, at: time.Now()})
	return info, nil
}
