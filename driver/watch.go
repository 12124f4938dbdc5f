package driver

import (
	"sync"
	"sync/atomic"

	"nomad-driver-connect/consul"
)

// nodeWatch follows the services of this node in Consul, from the first time
// that the agent told which node it is.
type nodeWatch struct {
	consul.Watch
	begin  sync.Once
	client atomic.Pointer[consul.Client] // nil before it has begun
}

// follow begins to follow the node, when that has not begun yet, with the
// operator's token of now.
func (p *Plugin) follow(settings consul.Config, node string) {
	if node == "" {
		return
	}
	p.watch.begin.Do(func() {
		client, err := consul.New(settings)
		if err != nil {
			p.log.Error("sidecars that Consul loses will not be registered again", "error", err)
			return
		}
		p.watch.client.Store(client)
		go func() {
			defer client.Close()
			p.watch.Run(p.ctx, client, node, func(err error) {
				p.log.Warn("does not see now which sidecars Consul loses, will try again", "error", err)
			})
		}()
	})
	if client := p.watch.client.Load(); client != nil {
		client.SetAgentToken(settings.AgentToken)
	}
}
