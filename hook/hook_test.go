package hook

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

const app = `
task "app" {
  driver = "raw_exec"
  config {
    command = "app"
  }
}`

// inJob puts the body of a group's blocks, besides the app, into a job.
func inJob(blocks string) string {
	return fmt.Sprintf("job \"shop\" {\n namespace = \"prod\"\n group \"g\" {\n%s\n%s\n }\n}", blocks, app)
}

const network = "network {\n mode = \"host\"\n port \"http\" {}\n}\n"

// web is a service with that connect block, and what else is said of it.
func web(connect string, more ...string) string {
	return fmt.Sprintf("service {\n name = \"web\"\n port = \"http\"\n%s\n connect {\n%s\n }\n}\n", strings.Join(more, "\n"), connect)
}

func sidecar(body string) string { return "sidecar_service {\n" + body + "\n}" }

func proxy(body string) string { return sidecar("proxy {\n" + body + "\n}") }

// upstream is one of db on port 9191, unless the lines say otherwise.
func upstream(lines ...string) string {
	return proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n" + strings.Join(lines, "\n") + "\n}")
}

func sidecarTask(body string) string {
	return "sidecar_service {}\n sidecar_task {\n" + body + "\n}"
}

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

// What to look at in a group.
type pick func(*api.TaskGroup) any

func whole(g *api.TaskGroup) any        { return g }
func proxyTask(g *api.TaskGroup) any    { return g.Tasks[len(g.Tasks)-1] }
func config(g *api.TaskGroup) any       { return g.Tasks[len(g.Tasks)-1].Config }
func block(g *api.TaskGroup) any        { return g.Tasks[len(g.Tasks)-1].Config["sidecar_service"] }
func proxyBlock(g *api.TaskGroup) any   { return block(g).(map[string]any)["proxy"] }
func appEnv(g *api.TaskGroup) any       { return g.Tasks[0].Env }
func firstService(g *api.TaskGroup) any { return g.Services[0] }
func networks(g *api.TaskGroup) any     { return g.Networks }
func proxyAndPorts(g *api.TaskGroup) any {
	return map[string]any{"network": g.Networks[0], "proxy": proxyBlock(g)}
}

// row is a field of the stanza, and what becomes of it.
type row struct {
	field   string
	group   string // blocks of the group besides the app
	options Options
	pick    pick
	want    string // as YAML
	warning string
}

func allRows() []row {
	return slices.Concat(stanzaRows(), gatewayRows(), upstreamRows(), hostRows(), sidecarTaskRows())
}

func TestRewrite(t *testing.T) {
	for _, r := range allRows() {
		t.Run(r.field, r.test)
	}
}

func (r row) test(t *testing.T) {
	t.Helper()
	result := rewrite(t, inJob(r.group), r.options)
	text, err := text(nodeOf(r.pick(result.Job.TaskGroups[0])))
	must.NoError(t, err)
	must.Eq(t, unindent(r.want), text)
	must.Eq(t, r.warning, strings.Join(result.Warnings, "\n"))

	again, err := Rewrite(result.Job, r.options)
	must.NoError(t, err)
	must.Eq(t, encode(t, result.Job), encode(t, again.Job), must.Sprint("a second pass changes nothing"))
}

func encode(t *testing.T, job *api.Job) string {
	t.Helper()
	text, err := Encode(job)
	must.NoError(t, err)
	return string(text)
}

// unindent takes the tabs off that a test's own indentation adds.
func unindent(text string) string {
	text = strings.TrimLeft(text, "\n")
	indent := text[:len(text)-len(strings.TrimLeft(text, "\t"))]
	lines := strings.Split(strings.TrimRight(text, "\t"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n")
}
