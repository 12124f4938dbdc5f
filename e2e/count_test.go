package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// reachable is an interface whose address groups in bridge mode reach.
const reachable = "mesh0"

// newBridgedCluster starts one whose node has the address of that interface.
func newBridgedCluster(t testing.TB) *agents.Cluster {
	t.Helper()
	addReachable(t)
	return newCluster(t, agents.Options{Interface: reachable})
}

// addReachable makes the interface when it is not there yet.
func addReachable(t testing.TB) {
	t.Helper()
	if exec.Command("ip", "link", "show", reachable).Run() == nil {
		return
	}
	for _, args := range []string{
		"link add " + reachable + " type veth peer name mesh1",
		"address add 10.123.0.1/24 dev " + reachable,
		"link set " + reachable + " up",
		"link set mesh1 up",
	} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		must.NoError(t, err, must.Sprintf("ip %s: %s", args, out))
	}
}

// countJob is the example in one of its ways.
func countJob(t testing.TB, way, release string) *api.Job {
	t.Helper()
	file := filepath.Join("..", "example-jobs", "count", "count.nomad.hcl")
	var cmd *exec.Cmd
	vars := []string{"-var", "way=" + way, "-var", "release=" + release, file}
	if way == "hook" {
		cmd = exec.Command(*plugin, append([]string{"hook"}, vars...)...)
	} else {
		cmd = exec.Command(filepath.Join(*tools, "nomad"), append([]string{"job", "run", "-output"}, vars...)...)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	must.NoError(t, err, must.Sprint(complaint.String()))
	var wrapped struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal(out, &wrapped))
	return wrapped.Job
}

// count is a cluster on which the example runs.
type count struct {
	*agents.Cluster
	dashboard string // where it answers
}

type counted struct {
	Count             int
	Instance, Release string
}

// ask gives an answer of the API, through the dashboard and the mesh.
func (c *count) ask(ctx context.Context) (counted, error) {
	var answer counted
	status, err := agents.GetJSON(ctx, "http://"+c.dashboard, &answer)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the dashboard answers with status %d: %+v", status, answer)
	}
	return answer, err
}

func (c *count) run(t *testing.T, way, release string) {
	t.Helper()
	_, _, err := c.Nomad.Client.Jobs().Register(countJob(t, way, release), nil)
	must.NoError(t, err)
}

// serves waits until both instances answer.
func (c *count) serves(t *testing.T) {
	t.Helper()
	dashboard := awaitRunning(t, c.Cluster, "count", "dashboard")
	var err error
	c.dashboard, err = agents.Port(dashboard, "http")
	must.NoError(t, err)
	seen := map[string]bool{}
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		answer, err := c.ask(ctx)
		if err != nil {
			return err
		}
		if seen[answer.Instance] = true; len(seen) < 2 {
			return errors.New("only one instance has answered")
		}
		return nil
	})
}

// countReadme tells how the example is run in all of its ways.
const countReadme = "../example-jobs/count/README.md"

// TestCount follows the README: on the host network with tasks written out and
// through the hook, and in bridge mode with Nomad's own Connect. An update of the
// API under load is noticed by nobody.
func TestCount(t *testing.T) {
	c := &count{Cluster: bridged(t)}
	defer tellStory(t, c.Cluster, "count")
	ends := func() {
		must.NoError(t, c.PurgeJobs(t.Context()))
		nothingLeft(t, c.Cluster)
	}
	updated := func(way string, update func()) {
		underLoad(t, c.load, "count ("+way+"), rolling update", 0, func() {
			update()
			must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "count"))
		})
	}
	runs := func(way string) func(func() string) {
		return func(typed func() string) {
			typed()
			c.serves(t)
			must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "count")) // Nomad may forget one that another overtakes
			c.isPrivate(t, way == "bridge")
			if way != "bridge" { // whose update is a line of its own
				updated(way, func() { c.run(t, way, "2") })
				ends()
			}
		}
	}
	follow(t, c.Cluster, countReadme, around{
		"nomad job run -var way=task example-jobs/count/count.nomad.hcl":                                         runs("task"),
		"bin/nomad-driver-connect hook -var way=hook example-jobs/count/count.nomad.hcl | nomad job run -json -": runs("hook"),
		"nomad job run -var way=bridge example-jobs/count/count.nomad.hcl":                                       runs("bridge"),
		"nomad job run -var way=bridge -var release=2 example-jobs/count/count.nomad.hcl":                        func(typed func() string) { updated("bridge", func() { typed() }) },
		"nomad job stop -purge count": func(typed func() string) { typed(); ends() },
	})
}

func (c *count) load(ctx context.Context, _ int) error {
	_, err := c.ask(ctx)
	return err
}

// tellStory tells that of a job's allocations when the test has failed.
func tellStory(t *testing.T, c *agents.Cluster, job string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	allocs, err := c.Nomad.Allocs(context.WithoutCancel(t.Context()), job)
	if err != nil {
		t.Log(err)
	}
	for _, alloc := range allocs {
		t.Logf("%s (version %d) is %s, its deployment %+v", alloc.Name, *alloc.Job.Version, alloc.ClientStatus, alloc.DeploymentStatus)
		for task := range alloc.TaskStates {
			t.Logf("%s:\n%s", task, strings.Join(agents.Events(alloc, task), "\n"))
		}
	}
}

// isPrivate sees to it that what Nomad wrote for the proxies is for nobody else,
// and that they run as users of their own.
func (c *count) isPrivate(t *testing.T, native bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir, "nomad/data/alloc/*/connect-proxy-*/secrets/*envoy_bootstrap*"))
	must.NoError(t, err)
	must.Eq(t, native, len(files) > 0)
	for _, file := range files {
		info, err := os.Stat(file)
		must.NoError(t, err)
		must.Eq(t, 0o600, info.Mode(), must.Sprint(file))
	}
	envoys := c.Processes("envoy")
	must.Len(t, 3, envoys)
	for _, pid := range envoys {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		must.NoError(t, err)
		must.Positive(t, info.Sys().(*syscall.Stat_t).Uid)
	}
}
