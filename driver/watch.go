package driver

import (
	"context"
	"sync"

	"nomad-driver-connect/consul"
)

// nodeWatch follows the services of this node in Consul, from the first time
// that the agent told which node it is.
type nodeWatch struct {
	consul.Watch

	mu     sync.Mutex
	node   string // whose services are followed; empty before
	client *consul.Client
	stop   context.CancelFunc
}

// follow begins to follow the node, or another when the agent has become another,
// with the operator's token of now.
func (p *Plugin) follow(settings consul.Config, node string) {
	w := &p.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if node == "" {
		return
	}
	if node == w.node {
		w.client.SetTokens(consul.Tokens{Agent: settings.AgentToken})
		return
	}
	client, err := p.pool.Client(settings, nil)
	if err != nil {
		p.log.Error("cannot follow the services of this node in Consul: sidecars that Consul loses are noticed late; will try again", "node", node, "error", err)
		return
	}
	if w.stop != nil {
		p.log.Info("the Consul agent is that of another node now", "before", w.node, "now", node)
		w.stop()
	}
	ctx, cancel := context.WithCancel(p.ctx)
	w.node, w.client, w.stop = node, client, cancel
	go func() {
		defer client.Close()
		w.Run(ctx, client, node, func(err error) {
			p.log.Warn("does not see now what becomes of sidecars in Consul, will try again", "error", err)
		})
	}()
}
