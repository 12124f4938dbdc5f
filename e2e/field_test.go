package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// fieldJob is one of people's jobs through the hook. Their apps are the test's own
// binary.
func fieldJob(t *testing.T, c *agents.Cluster, name string) *api.Job {
	t.Helper()
	self, err := os.Executable()
	must.NoError(t, err)
	file := filepath.Join("testdata", "field", name+".nomad.hcl")
	text, _ := pipe(t, c, 0, "", *plugin, "hook", "-var", "app="+self, file)
	var written struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal([]byte(text), &written))
	return written.Job
}

// runField runs one until its deployment is successful: what is checked, passes.
func runField(t *testing.T, c *agents.Cluster, name string) {
	t.Helper()
	job := fieldJob(t, c, name)
	_, _, err := c.Nomad.Client.Jobs().Register(job, nil)
	must.NoError(t, err)
	t.Cleanup(func() { tellStory(t, c, *job.ID) })
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), *job.ID))
}

// healthy are the instances of a service that Consul sends peers to, when they are
// so many.
func healthy(t *testing.T, c *agents.Cluster, service string, count int) []*consul.ServiceEntry {
	t.Helper()
	var found []*consul.ServiceEntry
	eventually(t, 30*time.Second, func(context.Context) (err error) {
		found, _, err = c.Consul.Client.Health().Service(service, "", true, nil)
		if err == nil && len(found) != count {
			err = fmt.Errorf("%d of %d instances of %s are healthy", len(found), count, service)
		}
		return err
	})
	return found
}

// body is what a server answers with status 200.
func body(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, answer.Status, text)
	}
	return string(text), err
}

// The port that checks and other services name is where the app listens.
func TestField_mapped(t *testing.T) {
	c := bridged(t)
	runField(t, c, "mapped")
	for _, service := range []string{"field-ingress", "field-mapped"} {
		must.Eq(t, 4433, healthy(t, c, service, 1)[0].Service.Port)
	}
	healthy(t, c, "field-mapped-sidecar-proxy", 1)
}

// Two sidecars on a node have their metrics where Consul says.
func TestField_metrics(t *testing.T) {
	c := bridged(t)
	runField(t, c, "metrics")
	instances := healthy(t, c, "field-metrics", 2)
	for _, instance := range instances {
		for _, key := range []string{"envoy_metrics_port", "scrape_port"} {
			eventually(t, 15*time.Second, func(ctx context.Context) error {
				metrics, err := body(ctx, "http://10.123.0.1:"+instance.Service.Meta[key]+"/metrics")
				if err == nil && !strings.Contains(metrics, "envoy_server_live") {
					err = fmt.Errorf("%s: no metrics of Envoy's: %s", key, metrics)
				}
				return err
			})
		}
	}
	must.NotEq(t, instances[0].Service.Meta["envoy_metrics_port"], instances[1].Service.Meta["envoy_metrics_port"])
}

// An exposed check reaches an app on loopback through the sidecar.
func TestField_exposed(t *testing.T) {
	c := bridged(t)
	runField(t, c, "exposed")
	for _, service := range []string{"field-label", "field-number", "field-path"} {
		instance := healthy(t, c, service, 1)[0]
		must.Eq(t, "passing", instance.Checks.AggregatedStatus())
		healthy(t, c, service+"-sidecar-proxy", 1)
	}
}

// The sidecar is on the job's own port of its name, which takes what meta says.
func TestField_own(t *testing.T) {
	c := bridged(t)
	runField(t, c, "own")
	must.Eq(t, 25001, healthy(t, c, "field-own-prod-sidecar-proxy", 1)[0].Service.Port)
}

// A container's sidecar_task is left out, and the sidecar runs.
func TestField_container(t *testing.T) {
	c := bridged(t)
	runField(t, c, "container")
	healthy(t, c, "field-container-sidecar-proxy", 1)
}

// HCL in its JSON syntax is taken for what it is.
func TestField_json(t *testing.T) {
	c := bridged(t)
	text, _ := pipe(t, c, 0, "", *plugin, "hook", filepath.Join("testdata", "field", "json.nomad.json"))
	pipe(t, c, 0, text, filepath.Join(*tools, "nomad"), "job", "validate", "-json", "-")
	must.StrContains(t, text, `"connect-native:field-json"`)
}

// A node with two addresses gets one instance of an app that listens on a number,
// though Nomad has the number once for each address.
func TestField_dualStack(t *testing.T) {
	const twoAddresses = "dual0"
	for _, args := range []string{
		"link add " + twoAddresses + " type veth peer name dual1",
		"address add 10.124.0.1/24 dev " + twoAddresses,
		"-6 address add fd00:124::1/64 dev " + twoAddresses + " nodad",
		"link set " + twoAddresses + " up",
		"link set dual1 up",
	} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		must.NoError(t, err, must.Sprintf("ip %s: %s", args, out))
	}
	c := newCluster(t, agents.Options{Interface: twoAddresses})
	defer func() { must.NoError(t, c.Close(context.Background())) }()
	job := fieldJob(t, c, "twice")
	plan := func() map[string]*api.AllocationMetric {
		answer, _, err := c.Nomad.Client.Jobs().Plan(job, true, nil)
		must.NoError(t, err)
		return answer.FailedTGAllocs
	}
	must.MapContainsKey(t, plan()["g"].ConstraintFiltered, "distinct_hosts")
	job.TaskGroups[0].Constraints = nil
	must.MapEmpty(t, plan(), must.Sprint("what Nomad does without the constraint"))
}
