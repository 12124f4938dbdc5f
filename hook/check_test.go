package hook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range checkCases {
		t.Run(tc.code, func(t *testing.T) {
			t.Parallel()
			for i, hcl := range tc.loud {
				found := told(t, tc.code, hcl)
				must.One(t, len(found), must.Sprintf("%s\n%s", hcl, lines(found)))
				on := found[0].Line
				must.Positive(t, on, must.Sprint(hcl))
				if i == 0 {
					must.Eq(t, tc.on, strings.TrimSpace(strings.Split(hcl, "\n")[on-1]))
					must.Eq(t, tc.want, unlocated(found[0]), must.Sprint(hcl))
				}
			}
			for _, hcl := range tc.silent {
				must.Eq(t, "", lines(told(t, tc.code, hcl)), must.Sprint(hcl))
			}
		})
	}
}

func unlocated(f Finding) string {
	f.Line = 0
	return f.String()
}

// told is what a check says of a job.
func told(t *testing.T, code, hcl string) []Finding {
	t.Helper()
	job := parse(t, hcl)
	refused, warnings := Check(job, Options{})
	must.Eq(t, "", lines(refused), must.Sprint(hcl))
	result, err := Rewrite(job, Options{})
	must.NoError(t, err)
	must.Eq(t, lines(warnings), lines(result.Warnings), must.Sprint("every pass says the same"))
	located := Locate(Source{Path: "job.nomad.hcl", Body: []byte(hcl)}, job, warnings)
	return slices.DeleteFunc(located, func(f Finding) bool { return f.Code != code })
}

// What is made up for upstreams is told of in a second pass, too.
func TestCheck_secondPass(t *testing.T) {
	t.Parallel()
	result := rewrite(t, groups("count = 2\n"+host+number+app), Options{})
	_, warnings := Check(result.Job, Options{})
	must.Eq(t, []string{"one-instance-a-node"}, codesOf(warnings))
	_, warnings = Check(rewrite(t, groups("count = 2\n"+host+number+app), Options{DynamicPorts: true}).Job, Options{})
	must.SliceEmpty(t, warnings)
}

// A refusal does not hide what there is to say of other groups.
func TestCheck_refused(t *testing.T) {
	t.Parallel()
	hcl := withoutDelay(groups(host+stanza.Web(stanza.Proxy("transparent_proxy {}"))+app, server()))
	job := parse(t, hcl)
	refused, warnings := Check(job, Options{})
	all := Locate(Source{Body: []byte(hcl)}, job, slices.Concat(refused, warnings))
	must.Eq(t, []string{CodeRefused, "no-shutdown-delay"}, codesOf(all))
	must.StrHasPrefix(t, `group "a", service "web" (line 8): transparent_proxy redirects`, all[0].String())
	must.StrHasPrefix(t, `group "b" (line 28): the group has no shutdown_delay`, all[1].String())

	refused, warnings = Check(nil, Options{})
	must.Eq(t, "the job: there is no job", lines(refused))
	must.SliceEmpty(t, warnings)
}

// Every job that others are to learn from has nothing to be told of.
func TestCheck_examples(t *testing.T) {
	examples, err := filepath.Glob("../example-jobs/*/*.nomad.hcl")
	must.NoError(t, err)
	more, err := filepath.Glob("../example-jobs/calculator/tasks/*.nomad.hcl")
	must.NoError(t, err)
	must.SliceNotEmpty(t, more)
	for _, file := range slices.Concat(examples, more) {
		file, err := filepath.Abs(file)
		must.NoError(t, err)
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			must.NoError(t, err)
			t.Chdir(filepath.Join("..", "example-jobs", "calculator"))
			job, err := Parse(Source{Path: file, Body: text})
			must.NoError(t, err)
			refused, warnings := Check(job, Options{})
			must.Eq(t, "", lines(slices.Concat(refused, warnings)))
		})
	}
}

func codesOf(findings []Finding) (codes []string) {
	for _, f := range findings {
		codes = append(codes, f.Code)
	}
	return codes
}
