package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// A drained node hands its instance over to the other: no connection fails, and
// nothing of a sidecar is left on it.
func TestNodeDrain(t *testing.T) {
	c := newCluster(t, agents.Options{})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	other, err := c.AddNode(t.Context())
	must.NoError(t, err)
	s := openShop(t, c)
	must.Len(t, 1, other.Processes("envoy"), must.Sprint("one of the two instances is on each node"))

	underLoad(t, agents.AskEcho(s.upstream), "nomad node drain of one of two clients", 0, func() {
		drain(t, other)
		nothingLeftOn(t, other)
		must.NoError(t, s.Nomad.AwaitSettled(t.Context(), "shop"))
		awaitCount(t, c, 2)
	})
}

// drain does what `nomad node drain -enable` does, and waits for its end.
func drain(t *testing.T, n *agents.Node) {
	t.Helper()
	node, err := n.Nomad.Node(t.Context())
	must.NoError(t, err)
	nodes := n.Nomad.Client.Nodes()
	_, err = nodes.UpdateDrainOpts(node.ID, &api.DrainOptions{DrainSpec: &api.DrainSpec{Deadline: time.Minute}}, nil)
	must.NoError(t, err)
	eventually(t, time.Minute, func(ctx context.Context) error {
		now, err := n.Nomad.Node(ctx)
		if err != nil {
			return err
		}
		if now.DrainStrategy != nil {
			return errors.New("the node is still draining")
		}
		allocs, _, err := nodes.Allocations(node.ID, (&api.QueryOptions{}).WithContext(ctx))
		for _, alloc := range allocs {
			if !alloc.ClientTerminalStatus() {
				return fmt.Errorf("allocation %s is still %s", alloc.ID, alloc.ClientStatus)
			}
		}
		return err
	})
}
