package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// restartConsul stops Consul's agent and starts it with its data. It returns
// when the Envoys have had their configuration from it again.
func (s *shop) restartConsul(t *testing.T, down time.Duration) {
	before := s.sidecars(t)
	must.NoError(t, s.Consul.Snapshot(t.Context())) // as a server has that is older than a day
	must.NoError(t, s.Consul.Stop())
	downFor(t, down)
	must.NoError(t, s.Consul.Start())
	must.NoError(t, s.Consul.Await(t.Context()))
	s.awaitHealthy(t, 5*time.Second, before)
	s.awaitXDS(t)
}

// loseConsulsData has Consul's agent start anew: with no services, another CA
// and a raft index that begins at 0.
func (s *shop) loseConsulsData(t *testing.T) {
	before, server, since := s.sidecars(t), s.server(t), time.Now()
	must.NoError(t, s.Consul.Stop())
	must.NoError(t, s.Consul.LoseData())
	must.NoError(t, s.Consul.Start())
	must.NoError(t, s.Consul.Await(t.Context()))
	eventually(t, 45*time.Second, func(ctx context.Context) error { // Nomad looks every 30 s
		services, err := s.Consul.Client.Agent().ServicesWithFilterOpts(`Service == "shop"`, (&consul.QueryOptions{}).WithContext(ctx))
		if err == nil && len(services) != 2 {
			err = fmt.Errorf("Nomad has brought back %d services", len(services))
		}
		return err
	})
	s.awaitHealthy(t, 5*time.Second, before)
	s.awaitEvent(t, server, since, "Consul has lost its data: the sidecar stays")
	s.answers(t)
	s.awaitXDS(t)
}

// sidecars are the IDs of those that are registered, which are healthy.
func (s *shop) sidecars(t *testing.T) []string {
	t.Helper()
	var ids []string
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		healthy, err := s.Consul.Healthy(ctx)
		if ids = slices.Sorted(maps.Keys(healthy)); err == nil && len(ids) != 3 {
			err = fmt.Errorf("healthy sidecars: %s", strings.Join(ids, ", "))
		}
		return err
	})
	return ids
}

// awaitHealthy waits until the very same sidecars are registered and healthy.
func (s *shop) awaitHealthy(t *testing.T, limit time.Duration, ids []string) {
	t.Helper()
	eventually(t, limit, func(ctx context.Context) error {
		healthy, err := s.Consul.Healthy(ctx)
		if now := slices.Sorted(maps.Keys(healthy)); err == nil && !slices.Equal(now, ids) {
			err = fmt.Errorf("healthy sidecars: %s; there were: %s", strings.Join(now, ", "), strings.Join(ids, ", "))
		}
		return err
	})
}

// awaitXDS waits until every Envoy has its configuration from Consul again, and
// has had the time to act on what it is told.
func (s *shop) awaitXDS(t *testing.T) {
	t.Helper()
	eventually(t, 45*time.Second, func(ctx context.Context) error { // Envoy waits up to 30 s between two attempts
		envoys := s.Processes("envoy")
		if len(envoys) != 3 {
			return fmt.Errorf("there are %d Envoys", len(envoys))
		}
		for _, pid := range envoys {
			state, err := agents.AskEnvoy(ctx, pid, "/stats?filter=^control_plane.connected_state$")
			if err != nil {
				return err
			}
			if !strings.Contains(string(state), ": 1") {
				return fmt.Errorf("Envoy %d has no connection to Consul: %q", pid, state)
			}
		}
		return nil
	})
	s.takes(t, awaitRunning(t, s.Cluster, "shopper", "shopper"), 3*loadRate)
}
