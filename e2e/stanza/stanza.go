// Package stanza has jobs with connect blocks on host networking, a row for each
// field, and what the hook is to make of them. The unit tests compare; the
// end-to-end tests give all of it to a real Nomad.
package stanza

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// Row is a field, and what becomes of it.
type Row struct {
	Name    string
	Group   string // blocks of the group besides the app
	Dynamic bool   // with -dynamic-ports
	Pick    Pick
	Want    string // as YAML in the words of job files
	Warning string
}

// Pick says what to look at in a group.
type Pick func(*api.TaskGroup) any

// Rows are all of them.
func Rows() []Row {
	return slices.Concat(connectRows(), gatewayRows(), upstreamRows(), upstreamConfigRows(), hostRows(), portRows(), checkRows(), sidecarTaskRows())
}

const app = `
task "app" {
  driver = "raw_exec"
  config {
    command = "app"
  }
}`

// Job is a job with one group that has the blocks, besides the app.
func Job(blocks string) string {
	return fmt.Sprintf("job \"shop\" {\n namespace = \"default\"\n group \"g\" {\n%s\n%s\n }\n}", blocks, app)
}

// Network is that of a group whose app is on the port http.
const Network = "network {\n mode = \"host\"\n port \"http\" {}\n}\n"

// Web is a service with that connect block, and what else is said of it.
func Web(connect string, more ...string) string {
	return fmt.Sprintf("service {\n name = \"web\"\n port = \"http\"\n%s\n connect {\n%s\n }\n}\n", strings.Join(more, "\n"), connect)
}

// Sidecar is a sidecar_service block.
func Sidecar(body string) string { return "sidecar_service {\n" + body + "\n}" }

// Proxy is one with a proxy block.
func Proxy(body string) string { return Sidecar("proxy {\n" + body + "\n}") }

// Upstream is one with the upstream db on port 9191, and what else is said of it.
func Upstream(lines ...string) string {
	return Proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n" + strings.Join(lines, "\n") + "\n}")
}

// SidecarTask is one with a sidecar_task beside it.
func SidecarTask(body string) string {
	return "sidecar_service {}\n sidecar_task {\n" + body + "\n}"
}

func whole(g *api.TaskGroup) any        { return g }
func proxyTask(g *api.TaskGroup) any    { return g.Tasks[len(g.Tasks)-1] }
func config(g *api.TaskGroup) any       { return g.Tasks[len(g.Tasks)-1].Config }
func block(g *api.TaskGroup) any        { return g.Tasks[len(g.Tasks)-1].Config["sidecar_service"] }
func proxyBlock(g *api.TaskGroup) any   { return block(g).(map[string]any)["proxy"] }
func appEnv(g *api.TaskGroup) any       { return g.Tasks[0].Env }
func firstService(g *api.TaskGroup) any { return g.Services[0] }
func networks(g *api.TaskGroup) any     { return g.Networks }
func constraints(g *api.TaskGroup) any  { return g.Constraints }
func proxyAndPorts(g *api.TaskGroup) any {
	return map[string]any{"network": g.Networks[0], "proxy": proxyBlock(g)}
}
