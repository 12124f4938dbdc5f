package e2e

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
	"nomad-driver-connect/e2e/differential"
)

const differencesPage = "../docs/hook-differences.md"

// A job through the hook is what Nomad's server makes of it in bridge mode, but for
// what is in the table; and nothing is in the table that is not so.
func TestDifferential(t *testing.T) {
	c := cluster(t)
	used := map[int]bool{}
	for _, job := range differential.Jobs() {
		t.Run(job.Name, func(t *testing.T) {
			native := submitNative(t, c, job)
			ours := submitHooked(t, c, job)
			if native == nil || ours == nil {
				return
			}
			for _, unexplained := range differential.Compare(native, ours, used) {
				t.Error(unexplained)
			}
		})
	}
	if !t.Failed() {
		for i, row := range differential.Table() {
			must.True(t, used[i], must.Sprintf("no job differs by %+v", row))
		}
	}
	if *update {
		must.NoError(t, os.WriteFile(differencesPage, []byte(differential.Page()), 0o644))
	}
	page, err := os.ReadFile(differencesPage)
	must.NoError(t, err)
	must.Eq(t, differential.Page(), string(page), must.Sprint("-update writes the page"))
}

// submitNative gives a view of the job as Nomad's own Connect has it; nil when
// Nomad refuses it, as the job says.
func submitNative(t *testing.T, c *agents.Cluster, job differential.Job) map[string]string {
	t.Helper()
	parsed, err := c.Nomad.Client.Jobs().ParseHCL(job.Bridge(), true)
	must.NoError(t, err, must.Sprint(job.Bridge()))
	registered, err := submitted(t.Context(), c, parsed)
	if job.Native != "" {
		must.ErrorContains(t, err, job.Native)
		return nil
	}
	must.NoError(t, err)
	return differential.View(registered)
}

// submitHooked gives a view of the job as the hook makes it; nil when it refuses
// the job. A second pass changes nothing, of what the server has, either.
func submitHooked(t *testing.T, c *agents.Cluster, job differential.Job) map[string]string {
	t.Helper()
	if job.Refused != "" {
		text, status := pipe(t, c, 1, job.Host(), "bash", "-c", `"$0" hook - 2>&1`, *plugin)
		must.One(t, status)
		must.StrContains(t, text, job.Refused)
		return nil
	}
	first := throughHook(t, c, job.Host())
	must.Eq(t, first, throughHook(t, c, jsonOf(t, first)))
	registered, err := submitted(t.Context(), c, first)
	must.NoError(t, err, must.Sprint(jsonOf(t, first)))
	text := jsonOf(t, registered)
	must.Eq(t, text, jsonOf(t, throughHook(t, c, text)))
	return differential.View(registered)
}

// throughHook is a job through the hook.
func throughHook(t *testing.T, c *agents.Cluster, job string) *api.Job {
	t.Helper()
	text, _ := pipe(t, c, 0, job, *plugin, "hook", "-")
	var written struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal([]byte(text), &written))
	return written.Job
}

func jsonOf(t *testing.T, job *api.Job) string {
	t.Helper()
	text, err := json.Marshal(job)
	must.NoError(t, err)
	return string(text)
}

// submitted is the job as the server has it, which forgets it at once.
func submitted(ctx context.Context, c *agents.Cluster, job *api.Job) (*api.Job, error) {
	if _, _, err := c.Nomad.Client.Jobs().Register(job, nil); err != nil {
		return nil, err
	}
	registered, _, err := c.Nomad.Client.Jobs().Info(*job.ID, nil)
	if err != nil {
		return nil, err
	}
	return registered, c.Nomad.Purge(ctx, *job.ID)
}
