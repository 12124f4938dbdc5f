package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
	"nomad-driver-connect/hook"
)

// sprinkle puts a field that nobody knows into every object, and counts them. What
// becomes of a connect block is not looked at here; Volumes is a map of objects.
func sprinkle(value any, count *int) {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if key != "Connect" && key != "Volumes" {
				sprinkle(inner, count)
			}
		}
		value["Newer"] = "of a newer Nomad"
		*count++
	case []any:
		for _, inner := range value {
			sprinkle(inner, count)
		}
	}
}

// count is how many of them there are.
func count(value any) (n int) {
	switch value := value.(type) {
	case map[string]any:
		if _, ok := value["Newer"]; ok {
			n++
		}
		for _, inner := range value {
			n += count(inner)
		}
	case []any:
		for _, inner := range value {
			n += count(inner)
		}
	}
	return n
}

// Whatever the hook does to a job, what a newer Nomad knows stays in it, or the job
// is refused, and the place is named.
func TestMerge_keepsTheUnknown(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, row := range stanza.Rows() {
		options := hook.Options{DynamicPorts: row.Dynamic}
		job := jobOf(t, row.Group)
		want, _, err := hooked{options: options}.rewriteJob([]byte(job), place{})
		must.NoError(t, err, must.Sprint(row.Name))
		if want == nil {
			continue // it is not rewritten
		}
		var raw any
		must.NoError(t, decode([]byte(job), &raw))
		sprinkled := 0
		sprinkle(raw, &sprinkled)
		text, err := json.Marshal(raw)
		must.NoError(t, err)
		got, _, err := hooked{options: options}.rewriteJob(text, place{})
		if err != nil {
			must.StrContains(t, err.Error(), "the rewrite would lose what this program does not know, as a newer Nomad may: Job.TaskGroups", must.Sprint(row.Name))
			refused++
			continue
		}
		var after any
		must.NoError(t, decode(got, &after))
		must.Eq(t, sprinkled, count(after), must.Sprint(row.Name))
	}
	must.Less(t, len(stanza.Rows())/3, refused, must.Sprint("most can be kept"))
}

// Keys may be written in any case, as Nomad takes them, and what the job says of its
// own maps stays as it is.
func TestMerge_cases(t *testing.T) {
	t.Parallel()
	job := jobOf(t, stanza.Network+stanza.Web(stanza.Upstream()))
	job = strings.NewReplacer(`"TaskGroups"`, `"taskgroups"`, `"Services"`, `"SERVICES"`, `"Connect"`, `"connect"`, `"Networks"`, `"networks"`, `"Env":null`, `"env":{"a":"1","A":"2"}`).Replace(job)
	text, _, err := hooked{}.rewriteJob([]byte(job), place{})
	must.NoError(t, err)
	must.StrContains(t, string(text), `"taskgroups":[`)
	var got *api.Job
	must.NoError(t, json.Unmarshal(text, &got))
	g := got.TaskGroups[0]
	must.Nil(t, g.Services[0].Connect)
	must.Eq(t, "connect-proxy-web", g.Tasks[1].Name)
	must.Eq(t, "1", g.Tasks[0].Env["a"])
	must.Eq(t, "2", g.Tasks[0].Env["A"])
	must.Eq(t, "127.0.0.1:9191", g.Tasks[0].Env["NOMAD_UPSTREAM_ADDR_db"])
}

// A key that is there twice means two things to two readers.
func TestMerge_twice(t *testing.T) {
	t.Parallel()
	job := strings.Replace(jobOf(t, stanza.Network+stanza.Web(stanza.Sidecar(""))), `"Networks":`, `"networks":[{"Mode":"none"}],"Networks":`, 1)
	_, _, err := hooked{}.rewriteJob([]byte(job), place{})
	must.ErrorContains(t, err, "the job says one thing twice, in keys that differ in upper and lower case")
}

// Numbers stay as they are written.
func TestMerge_numbers(t *testing.T) {
	t.Parallel()
	job := with(t, meshed(t), "TaskGroups.0.Tasks.0.Config", json.RawMessage(`{"big":123456789012345678901234567890,"real":1.50}`))
	text, _, err := hooked{}.rewriteJob([]byte(job), place{})
	must.NoError(t, err)
	must.StrContains(t, string(text), `"big":123456789012345678901234567890`)
	must.StrContains(t, string(text), `"real":1.50`)
}

func TestPair(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ before, after, want string }{
		{`[{"Name":"a"},{"Name":"b"}]`, `[{"Name":"b"},{"Name":"new"},{"Name":"a","x":1}]`, "[1 -1 0]"},
		{`[{"Name":"a"},{"Name":"a","x":1}]`, `[{"Name":"a","y":1},{"Name":"a","x":1}]`, "[0 1]"},
		{`[{"Name":"${JOB}"}]`, `[{"Name":"shop"}]`, "[0]"},
		{`[{"Label":"a"},{"Label":"b"}]`, `[{"Label":"c"}]`, "[-1]"},
		{`["a","b"]`, `["b","c"]`, "[1 -1]"},
		{`[]`, `[{"Mode":"host"}]`, "[-1]"},
	} {
		var before, after []any
		must.NoError(t, json.Unmarshal([]byte(tc.before), &before))
		must.NoError(t, json.Unmarshal([]byte(tc.after), &after))
		must.Eq(t, tc.want, fmt.Sprint(pair(before, after)), must.Sprint(tc))
	}
}
