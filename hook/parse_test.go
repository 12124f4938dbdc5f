package hook

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

// Files that a job names are looked for where one works, as nomad's commands do.
func TestParse_file(t *testing.T) {
	t.Chdir(t.TempDir())
	must.NoError(t, os.WriteFile("app.js", []byte("1 + 1"), 0o644))
	hcl := `job "j" {
  group "g" {
    task "t" {
      driver = "raw_exec"
      template {
        data        = file("app.js")
        destination = "local/app.js"
      }
    }
  }
}`
	job, err := Parse(Source{Path: "jobs/j.nomad.hcl", Body: []byte(hcl)})
	must.NoError(t, err)
	must.Eq(t, "1 + 1", *job.TaskGroups[0].Tasks[0].Templates[0].EmbeddedTmpl)
}

// HCL has a syntax in JSON, which nomad's commands take for what it is.
func TestParse_hclInJSON(t *testing.T) {
	const group = `{"g": {"network": {"mode": "host", "port": {"http": {}}},
 "service": {"name": "${var.name}", "port": "http", "connect": {"sidecar_service": {}}},
 "task": {"t": {"driver": "raw_exec", "config": {"command": "/bin/sleep"}}}}}`
	for _, job := range []string{`{"hj": {"group": ` + group + `}}`, `[{"hj": {"group": [` + group + `]}}]`} {
		body := "\n{\"variable\": {\"name\": {\"default\": \"hj\"}}, \"job\": " + job + "}"
		parsed, err := Parse(Source{Path: "hj.nomad.json", Body: []byte(body), Vars: []string{"name=other"}})
		must.NoError(t, err)
		must.Eq(t, "hj", *parsed.ID)
		must.Eq(t, "other", parsed.TaskGroups[0].Services[0].Name)
		must.NotNil(t, parsed.TaskGroups[0].Services[0].Connect.SidecarService)
	}
}

// Fields of Nomad's API are no blocks of HCL, in whatever case.
func TestParse_api(t *testing.T) {
	for _, body := range []string{`{"Job": {"ID": "a"}}`, `{"job": {"id": "a", "meta": {}}}`, `{"ID": "a"}`} {
		job, err := Parse(Source{Body: []byte(body)})
		must.NoError(t, err)
		must.Eq(t, "a", *job.ID)
	}
}

func TestParse_noJob(t *testing.T) {
	for _, body := range []string{"{}", `{"Job": {}}`} {
		_, err := Parse(Source{Path: "stdin", Body: []byte(body)})
		must.ErrorContains(t, err, "read the job stdin as JSON: there is no job in it")
	}
}
