package e2e

import (
	"context"
	"testing"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// With ACLs as `nomad setup consul` sets them up, sidecars act with the identity
// of their service, which Nomad gives them: through the hook by the task's kind, in
// bridge mode in the bootstrap.
func TestCount_identities(t *testing.T) {
	const manager = "5c3d2a10-9b7e-4f6a-8e1d-2b4c6d8e0f12"
	addReachable(t)
	c := &count{Cluster: newCluster(t, agents.Options{Interface: reachable, Identities: true, Consul: agents.ConsulOptions{Token: manager}})}
	defer func() { must.NoError(t, c.Close(context.WithoutCancel(t.Context()))) }()
	setUpIdentities(t, c.Cluster, manager)
	_, _, err := c.Consul.Client.ConfigEntries().Set(&consul.ServiceIntentionsConfigEntry{
		Kind: consul.ServiceIntentions, Name: "count-api",
		Sources: []*consul.SourceIntention{{Name: "count-dashboard", Action: consul.IntentionActionAllow}},
	}, nil)
	must.NoError(t, err)
	for _, way := range []string{"hook", "bridge"} {
		t.Run(way, func(t *testing.T) {
			defer tellStory(t, c.Cluster, "count")
			c.run(t, way, "1")
			c.serves(t)
			must.NoError(t, c.PurgeJobs(t.Context()))
			nothingLeft(t, c.Cluster)
		})
	}
}
