package hook

import (
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

func parse(t *testing.T, hcl string) *api.Job {
	t.Helper()
	job, err := Parse(Source{Path: "job.nomad.hcl", Body: []byte(hcl)})
	must.NoError(t, err, must.Sprint(hcl))
	return job
}

func rewrite(t *testing.T, hcl string, options Options) Result {
	t.Helper()
	result, err := Rewrite(parse(t, hcl), options)
	must.NoError(t, err, must.Sprint(hcl))
	return result
}

func encode(t *testing.T, job *api.Job) string {
	t.Helper()
	text, err := Encode(job)
	must.NoError(t, err)
	return string(text)
}

func TestRewrite(t *testing.T) {
	for _, r := range stanza.Rows() {
		t.Run(r.Name, func(t *testing.T) {
			options := Options{DynamicPorts: r.Dynamic}
			result, err := transform(parse(t, stanza.Job(r.Group)), options)
			must.NoError(t, err)
			text, err := text(nodeOf(r.Pick(result.Job.TaskGroups[0])))
			must.NoError(t, err)
			must.Eq(t, unindent(r.Want), text)
			must.Eq(t, r.Warning, lines(result.Warnings))

			again, err := Rewrite(result.Job, options)
			must.NoError(t, err)
			must.Eq(t, encode(t, result.Job), encode(t, again.Job), must.Sprint("a second pass changes nothing"))
		})
	}
}

func lines(findings []Finding) string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// unindent takes the tabs off that a row's own indentation adds.
func unindent(text string) string {
	text = strings.TrimLeft(text, "\n")
	indent := text[:len(text)-len(strings.TrimLeft(text, "\t"))]
	lines := strings.Split(strings.TrimRight(text, "\t"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n")
}
