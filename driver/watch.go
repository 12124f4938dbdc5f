package driver

import (
	"sync"

	"nomad-driver-connect/consul"
)

// nodeWatch follows the services of this node in Consul, from the first time
// that the agent told which node it is.
type nodeWatch struct {
	consul.Watch
	begin sync.Once
}

// follow begins to follow the node, when that has not begun yet.
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
		go func() {
			defer client.Close()
			p.watch.Run(p.ctx, client, node, func(err error) {
				p.log.Warn("does not see now which sidecars Consul loses, will try again", "error", err)
			})
		}()
	})
}
