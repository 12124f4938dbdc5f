package e2e

import (
	"context"
	"errors"
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

// inPlace is a change of a job that Nomad makes without a new allocation.
type inPlace struct {
	name   string
	change func(*stall)
	check  bool   // Nomad replaces the check by another
	within []form // nil for all; natively a new label replaces the allocation
}

const (
	slowCheck = "check {\n name = \"app\"\n type = \"http\"\n path = %q\n interval = %q\n timeout = \"1s\"\n}\n"
	plainText = "tags = [\"plain\"]\nmeta {\n stage = \"stable\"\n}\n"
)

// inPlaceChanges are made one after the other.
var inPlaceChanges = []inPlace{
	{name: "tags and meta", change: func(s *stall) {
		s.service = strings.Replace(s.service, plainText, "tags = [\"fancy\", \"v2\"]\nmeta {\n stage = \"other\"\n}\n", 1)
	}},
	{name: "interval of the check", check: true, change: func(s *stall) { s.service = strings.Replace(s.service, "10s", "9s", 1) }},
	{name: "path of the check", check: true, change: func(s *stall) { s.service = strings.Replace(s.service, "/health", "/up", 1) }},
	{name: "label of the port", within: []form{ownTask, hooked}, change: func(s *stall) { s.port = "other" }},
	{name: "weights", change: func(s *stall) { s.service += "weights {\n passing = 3\n warning = 2\n}\n" }},
}

// What Nomad changes in place costs nobody a request, whoever has registered the
// sidecar, and is the sidecar's, too.
func TestInPlace(t *testing.T) {
	for _, f := range forms {
		t.Run(string(f), func(t *testing.T) {
			c := bridged(t)
			now := stall{form: f, sidecar: quickDrain, service: plainText + fmt.Sprintf(slowCheck, "/health", "10s")}
			s := openStalls(t, c, now)
			for _, change := range inPlaceChanges {
				if change.within != nil && !slices.Contains(change.within, f) {
					continue
				}
				t.Run(change.name, func(t *testing.T) { s.changed(t, &now, change) })
			}
			must.NoError(t, c.PurgeJobs(t.Context()))
			nothingLeft(t, c)
		})
	}
}

// changed makes one change under load, and leaves the mesh some time to be wrong.
func (s *shop) changed(t *testing.T, now *stall, to inPlace) {
	t.Helper()
	to.change(now)
	now.planned(t, s.Cluster)
	client := awaitRunning(t, s.Cluster, "shopper", "shopper")
	underLoad(t, agents.AskEcho(s.upstream), fmt.Sprintf("in place (%s): %s", now.form, to.name), 0, func() {
		var before []string
		if to.check {
			before = s.checks(t)
		}
		now.submit(t, s.Cluster)
		s.followed(t, *now, before)
		s.takes(t, client, 2*loadRate)
	})
}

// followed waits until the services are as the job has them, with checks that Consul
// has run and that are not those before, and their sidecars as the services.
func (s *shop) followed(t *testing.T, want stall, before []string) {
	t.Helper()
	tag := map[bool]string{true: "plain", false: "fancy"}[strings.Contains(want.service, `"plain"`)]
	label := map[string]string{"": "-shop-app", "other": "-shop-other"}[want.port]
	eventually(t, 45*time.Second, func(ctx context.Context) error {
		parents, err := s.parents(ctx)
		if err != nil || len(parents) != 2 {
			return errors.Join(fmt.Errorf("%d instances", len(parents)), err)
		}
		for id, parent := range parents {
			if !strings.HasSuffix(id, label) || !slices.Contains(parent.Tags, tag) {
				return fmt.Errorf("%s has the tags %v", id, parent.Tags)
			}
			if err := s.checked(ctx, id, before); err != nil {
				return err
			}
			if err := s.resembles(ctx, parent); err != nil {
				return err
			}
		}
		return nil
	})
	s.sidecars(t)
}

// parents are the instances of the shop on the node, by their IDs.
func (s *shop) parents(ctx context.Context) (map[string]*consul.AgentService, error) {
	return s.Consul.Client.Agent().ServicesWithFilterOpts(`Service == "shop"`, (&consul.QueryOptions{}).WithContext(ctx))
}

// checks are the IDs of those that the instances have.
func (s *shop) checks(t *testing.T) []string {
	t.Helper()
	checks, err := s.Consul.Client.Agent().ChecksWithFilter(`ServiceName == "shop"`)
	must.NoError(t, err)
	must.MapLen(t, 2, checks)
	return slices.Collect(maps.Keys(checks))
}

// checked tells whether Consul itself has found an instance well, by another check than
// those before.
func (s *shop) checked(ctx context.Context, id string, before []string) error {
	checks, err := s.Consul.Client.Agent().ChecksWithFilterOpts(fmt.Sprintf("ServiceID == %q", id), (&consul.QueryOptions{}).WithContext(ctx))
	if err != nil || len(checks) != 1 {
		return errors.Join(fmt.Errorf("%s has %d checks", id, len(checks)), err)
	}
	for checkID, check := range checks {
		if check.Status != consul.HealthPassing || check.Output == "" || slices.Contains(before, checkID) {
			return fmt.Errorf("the check %s of %s is %s: %q", checkID, id, check.Status, check.Output)
		}
	}
	return nil
}

// resembles tells whether the sidecar of an instance has what the instance has.
func (s *shop) resembles(ctx context.Context, parent *consul.AgentService) error {
	proxies, err := s.Consul.Proxies(ctx)
	if err != nil {
		return err
	}
	proxy := proxies[parent.ID+"-sidecar-proxy"]
	if proxy == nil {
		return fmt.Errorf("%s has no sidecar of its ID; there are %v", parent.ID, slices.Sorted(maps.Keys(proxies)))
	}
	if !slices.Equal(proxy.Tags, parent.Tags) || proxy.Meta["stage"] != parent.Meta["stage"] || proxy.Weights != parent.Weights {
		return fmt.Errorf("%s has %v, stage %q, %+v; its service %v, %q, %+v", proxy.ID,
			proxy.Tags, proxy.Meta["stage"], proxy.Weights, parent.Tags, parent.Meta["stage"], parent.Weights)
	}
	return nil
}

// Weights that are changed in place hold in the mesh: ten to one.
func TestInPlace_weights(t *testing.T) {
	for _, f := range []form{ownTask, hooked} {
		t.Run(string(f), func(t *testing.T) {
			c := bridged(t)
			heavy, light := stall{form: f, count: 1, sidecar: quickDrain}, stall{form: f, job: "corner", count: 1, sidecar: quickDrain}
			s := openStalls(t, c, heavy, light)
			heavy.service = "weights {\n passing = 10\n warning = 1\n}\n"
			heavy.planned(t, c)
			underLoad(t, agents.AskEcho(s.upstream), fmt.Sprintf("in place (%s): 10 to 1", f), 0, func() {
				heavy.submit(t, c)
				eventually(t, 20*time.Second, s.tenToOne)
			})
		})
	}
}

// tenToOne asks who answers; a load beside it shifts the turns, and so the bounds are
// wide.
func (s *shop) tenToOne(ctx context.Context) error {
	answers := map[string]int{}
	for range 110 {
		who, err := agents.SendLine(ctx, "tcp", s.upstream, askWho)
		if err != nil {
			return err
		}
		answers[who]++
	}
	counts := slices.Sorted(maps.Values(answers))
	if len(counts) != 2 || counts[0] < 5 || counts[0] > 20 {
		return fmt.Errorf("the instances have answered %v times of 110", counts)
	}
	return nil
}

// A canary is promoted behind a resolver whose subset is chosen by meta: the promoted
// instances are in it before the old ones leave.
func TestInPlace_promotion(t *testing.T) {
	for _, f := range forms {
		t.Run(string(f), func(t *testing.T) {
			c := bridged(t)
			s := openStalls(t, c, stableStall(f, 1))
			setResolver(t, c)
			next := stableStall(f, 2)
			underLoad(t, agents.AskEcho(s.upstream), fmt.Sprintf("canary promoted behind a subset (%s)", f), 0, func() {
				next.submit(t, c)
				promote(t, c)
				must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "shop"))
				awaitCount(t, c, 2)
			})
			s.sidecars(t)
			for _, proxy := range stagesOf(t, c) {
				must.Eq(t, "stable", proxy)
			}
		})
	}
}

func stableStall(f form, version int) stall {
	return stall{
		form: f, version: version, update: "canary = 2", sidecar: quickDrain,
		service: "meta {\n stage = \"stable\"\n}\ncanary_meta {\n stage = \"canary\"\n}\n",
	}
}

// setResolver has peers go to the stable instances only, until the test ends.
func setResolver(t *testing.T, c *agents.Cluster) {
	t.Helper()
	entries := c.Consul.Client.ConfigEntries()
	_, _, err := entries.Set(&consul.ServiceResolverConfigEntry{
		Kind: consul.ServiceResolver, Name: "shop", DefaultSubset: "stable",
		Subsets: map[string]consul.ServiceResolverSubset{
			"stable": {Filter: "Service.Meta.stage == stable"},
			"canary": {Filter: "Service.Meta.stage == canary"},
		},
	}, nil)
	must.NoError(t, err)
	t.Cleanup(func() {
		if _, err := entries.Delete(consul.ServiceResolver, "shop", nil); err != nil {
			t.Error("delete the resolver:", err)
		}
	})
}

// promote waits until the canaries are healthy, and promotes them.
func promote(t *testing.T, c *agents.Cluster) {
	t.Helper()
	var id string
	eventually(t, time.Minute, func(context.Context) error {
		d, _, err := c.Nomad.Client.Jobs().LatestDeployment("shop", nil)
		if err != nil || d == nil {
			return errors.Join(errors.New("there is no deployment"), err)
		}
		g := d.TaskGroups["shop"]
		if g == nil || len(g.PlacedCanaries) != 2 || g.HealthyAllocs != 2 || g.Promoted {
			return fmt.Errorf("the canaries are not healthy: %+v", g)
		}
		id = d.ID
		return nil
	})
	_, _, err := c.Nomad.Client.Deployments().PromoteAll(id, nil)
	must.NoError(t, err)
}

// stagesOf are those that the sidecars of the shop say, by their IDs.
func stagesOf(t *testing.T, c *agents.Cluster) map[string]string {
	t.Helper()
	proxies, err := c.Consul.Proxies(t.Context())
	must.NoError(t, err)
	stages := map[string]string{}
	for id, proxy := range proxies {
		if proxy.Proxy.DestinationServiceName == "shop" {
			stages[id] = proxy.Meta["stage"]
		}
	}
	must.MapNotEmpty(t, stages)
	return stages
}
