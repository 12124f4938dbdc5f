package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// onceMore is a group that likes the second node, is tried there once more, and then
// elsewhere.
const onceMore = `
    affinity {
      attribute = "${node.unique.name}"
      value     = "node-2"
      weight    = 100
    }
    restart {
      attempts = 1
      interval = "10m"
      delay    = "1s"
      mode     = "fail"
    }
    reschedule {
      attempts       = 3
      interval       = "10m"
      delay          = "5s"
      delay_function = "constant"
      unlimited      = false
    }`

// A node that cannot run a sidecar loses the allocation to one that can, within the
// attempts that the group says, as natively.
func TestMoves(t *testing.T) {
	c := newCluster(t, agents.Options{})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	other, err := c.AddNode(t.Context())
	must.NoError(t, err)
	for _, f := range []form{ownTask, hooked} {
		t.Run(string(f), func(t *testing.T) {
			defer tellStory(t, c, "shop")
			t.Cleanup(func() { must.NoError(t, c.PurgeJobs(context.Background())) })
			must.NoError(t, other.Consul.Kill()) // nobody has noticed yet
			stall{form: f, count: 1, group: onceMore}.submit(t, c)
			first := awaitFailed(t, c)
			must.StrContains(t, strings.Join(agents.Events(first, "proxy"), "\n"), "Consul does not answer at")
			must.LessEq(t, 1, first.TaskStates["proxy"].Restarts)
			eventually(t, 90*time.Second, func(ctx context.Context) error { return runsOn(ctx, c, "nomad") })
			must.NoError(t, other.Consul.Start())
			must.NoError(t, other.Consul.Await(t.Context()))
			must.NoError(t, other.Nomad.AwaitDriver(t.Context()))
		})
	}
}

// awaitFailed waits for an allocation of the shop that has failed.
func awaitFailed(t *testing.T, c *agents.Cluster) (failed *api.Allocation) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) error {
		allocs, err := c.Nomad.Allocs(ctx, "shop")
		for _, alloc := range allocs {
			if alloc.ClientStatus == api.AllocClientStatusFailed {
				failed = alloc
				return nil
			}
		}
		return errors.Join(errors.New("no allocation has failed"), err)
	})
	must.Eq(t, "node-2", failed.NodeName)
	return failed
}

// runsOn tells whether the shop runs on the node of that name.
func runsOn(ctx context.Context, c *agents.Cluster, node string) error {
	running, err := c.Nomad.Running(ctx, "shop", "shop")
	if err != nil || len(running) != 1 || running[0].NodeName != node {
		return errors.Join(fmt.Errorf("it does not run on %s alone: %d run", node, len(running)), err)
	}
	return nil
}
