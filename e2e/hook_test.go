package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
	"nomad-driver-connect/e2e/stanza"
)

// pipe runs one of the binaries on a text. Statuses up to the one that is allowed
// are no error.
func pipe(t *testing.T, c *agents.Cluster, allowed int, input string, binary string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(cmd.Environ(), "NOMAD_ADDR=http://"+c.Nomad.HTTP)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if status := cmd.ProcessState.ExitCode(); status < 0 || status > allowed {
		t.Fatalf("%s %v: %v\n%s%s", filepath.Base(binary), args, err, stdout.String(), stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// hookCase is a job file, and what its allocations are to do.
type hookCase struct {
	name, file string
	flags      []string
	runs       bool // all of it, and then check holds
	check      func(*testing.T, *agents.Cluster, *api.Job)
}

// Jobs as for bridge networking go through the hook into Nomad, and run.
func TestHook(t *testing.T) {
	c := cluster(t)
	cases := []hookCase{
		{name: "ports by number", file: "echo", flags: []string{"-var", "text=static"}, runs: true, check: hears("static--hello")},
		{name: "dynamic ports", file: "echo", flags: []string{"-dynamic-ports", "-var=text=dynamic"}, runs: true, check: hears("dynamic--hello")},
		{name: "services", file: "services", runs: true, check: serves},
		{name: "gateways", file: "gateways"},
		{name: "every field", file: "fields"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Cleanup(func() { must.NoError(t, c.PurgeJobs(context.Background())) })
			tc.test(t, c)
		})
	}
	nothingLeft(t, c)
}

// A real Nomad takes what comes of every field, or the hook refuses it.
func TestHook_rows(t *testing.T) {
	c := cluster(t)
	nomad := filepath.Join(*tools, "nomad")
	for _, r := range stanza.Rows() {
		t.Run(r.Name, func(t *testing.T) {
			args := []string{"hook", "-"}
			if r.Dynamic {
				args = []string{"hook", "-dynamic-ports", "-"}
			}
			text, _ := pipe(t, c, 0, stanza.Job(r.Group), *plugin, args...)
			pipe(t, c, 0, text, nomad, "job", "validate", "-json", "-")
			pipe(t, c, 1, text, nomad, "job", "plan", "-json", "-")
		})
	}
	for _, r := range stanza.Refusals() {
		t.Run(r.Name, func(t *testing.T) {
			text, status := pipe(t, c, 1, stanza.Job(r.Group), *plugin, "hook", "-")
			must.One(t, status)
			must.Eq(t, "", text)
		})
	}
}

// Two instances with an upstream on a port by number need two nodes, and two with
// one that Nomad chooses do not.
func TestHook_placement(t *testing.T) {
	c := cluster(t)
	two := stanza.Job("count = 2\n" + stanza.Network + stanza.Web(stanza.Upstream()))
	plan := func(flags ...string) *api.JobPlanResponse {
		text, _ := pipe(t, c, 0, two, *plugin, append(append([]string{"hook"}, flags...), "-")...)
		var written struct{ Job *api.Job }
		must.NoError(t, json.Unmarshal([]byte(text), &written))
		answer, _, err := c.Nomad.Client.Jobs().Plan(written.Job, true, nil)
		must.NoError(t, err)
		return answer
	}
	failed := plan().FailedTGAllocs["g"]
	must.NotNil(t, failed)
	must.MapContainsKey(t, failed.ConstraintFiltered, "distinct_hosts")
	must.MapEmpty(t, plan("-dynamic-ports").FailedTGAllocs)
}

func (tc hookCase) test(t *testing.T, c *agents.Cluster) {
	nomad := filepath.Join(*tools, "nomad")
	file := filepath.Join("testdata", "hook", tc.file+".nomad.hcl")
	text, _ := pipe(t, c, 0, "", *plugin, slices.Concat([]string{"hook"}, tc.flags, []string{file})...)
	pipe(t, c, 0, text, nomad, "job", "validate", "-json", "-")
	pipe(t, c, 1, text, nomad, "job", "plan", "-json", "-")
	again, _ := pipe(t, c, 0, text, *plugin, "hook", "-")
	must.Eq(t, text, again, must.Sprint("a second pass changes nothing"))
	diff, _ := pipe(t, c, 0, "", *plugin, slices.Concat([]string{"hook", "-diff"}, tc.flags, []string{file})...)
	must.StrContains(t, diff, "driver: connect\n")
	if !tc.runs {
		return
	}
	pipe(t, c, 0, text, nomad, "job", "run", "-detach", "-json", "-")
	var written struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal([]byte(text), &written))
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), *written.Job.ID))
	plan, status := pipe(t, c, 1, text, nomad, "job", "plan", "-json", "-")
	must.Zero(t, status, must.Sprintf("a plan of what runs has differences:\n%s", plan))
	answer, _, err := c.Nomad.Client.Jobs().Plan(written.Job, true, nil)
	must.NoError(t, err)
	must.Eq(t, "None", answer.Diff.Type)
	tc.check(t, c, written.Job)
}

// hears waits until the client's app has heard that through both sidecars, at
// the address and at the IP and port that it is told.
func hears(line string) func(*testing.T, *agents.Cluster, *api.Job) {
	return func(t *testing.T, c *agents.Cluster, job *api.Job) {
		alloc := awaitRunning(t, c, *job.ID, "client")
		eventually(t, 30*time.Second, func(context.Context) error {
			log, err := os.ReadFile(allocFile(c, alloc, "logs", "app.stdout.0"))
			if err == nil && strings.Count(string(log), line+"\n") < 2 {
				err = fmt.Errorf("the app has not heard %q twice: %q", line, log)
			}
			return err
		})
		must.StrContains(t, strings.Join(agents.Events(awaitRunning(t, c, *job.ID, "server"), "connect-proxy-hook-echo"), "\n"), "Serving: the local service accepts connections at 127.0.0.1:7101")
	}
}

// serves waits until both services and their sidecars are healthy.
func serves(t *testing.T, c *agents.Cluster, job *api.Job) {
	eventually(t, 30*time.Second, func(context.Context) error {
		for service, instances := range map[string]int{"hook-services": 2, "hook-services-sidecar-proxy": 2} {
			found, _, err := c.Consul.Client.Health().Service(service, "", true, nil)
			if err == nil && len(found) != instances {
				err = fmt.Errorf("%d of %d instances of %s are healthy", len(found), instances, service)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	alloc := awaitRunning(t, c, *job.ID, "g")
	port, err := agents.Port(alloc, "http")
	must.NoError(t, err)
	must.StrHasSuffix(t, ":7201", port)
	socket, err := os.Stat(allocFile(c, alloc, "tmp", "echo.sock"))
	must.NoError(t, err)
	must.Eq(t, fs.ModeSocket|0o660, socket.Mode())
}

// allocFile is a file in the directory that an allocation's tasks share.
func allocFile(c *agents.Cluster, alloc *api.Allocation, name ...string) string {
	return filepath.Join(slices.Concat([]string{c.Dir, "nomad", "data", "alloc", alloc.ID, "alloc"}, name)...)
}
