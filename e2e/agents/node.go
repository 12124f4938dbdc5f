package agents

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// Node is what stands on one machine of a cluster: a Nomad client with the
// driver, and the Consul agent that it talks to. (On a shared agent each Nomad
// client would remove the services of the other.)
type Node struct {
	Dir    string
	Consul *Consul
	Nomad  *Nomad
}

// AddNode starts another node below the cluster's directory, which Close stops
// with the rest: a Consul client agent and a Nomad client. The nodes have one
// address; their ports tell them apart.
func (c *Cluster) AddNode(ctx context.Context) (*Node, error) {
	name := fmt.Sprintf("node-%d", len(c.others)+2)
	node := &Node{Dir: filepath.Join(c.Dir, name)}
	c.others = append(c.others, node)
	consul := c.opts.Consul
	consul.HTTPPort, consul.GRPCPort = 0, 0
	consul.node, consul.join = name, c.Consul
	var err error
	if node.Consul, err = StartConsul(ctx, c.opts.Tools, filepath.Join(node.Dir, "consul"), consul); err != nil {
		return nil, err
	}
	nomad, err := c.nomadOptions(node.Consul.HTTP, c.cgroup+"-"+name)
	if err != nil {
		return nil, err
	}
	if node.Nomad, err = c.Nomad.join(ctx, c.opts.Tools, node.Dir, name, nomad); err != nil {
		return nil, err
	}
	return node, node.Nomad.AwaitDriver(ctx)
}

func (n *Node) stop() error {
	var errs []error
	if n.Nomad != nil {
		errs = append(errs, n.Nomad.Stop())
	}
	if n.Consul != nil {
		errs = append(errs, n.Consul.Stop())
	}
	return errors.Join(errs...)
}

// RunDirs are the directories of the Envoys that the node's sidecars have.
func (n *Node) RunDirs() []string {
	dirs, _ := filepath.Glob(filepath.Join(n.Dir, "nomad/data/alloc/*/*/secrets/connect"))
	return dirs
}
