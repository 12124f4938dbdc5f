package e2e

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

var pictures = flag.String("pictures", "", "a directory for the pictures of the README")

// picture is where one of them goes.
func picture(t *testing.T, name string) string {
	t.Helper()
	if *pictures == "" {
		return filepath.Join(t.TempDir(), name)
	}
	return filepath.Join(*pictures, name)
}

// browse has a browser look at the calculator's page.
func (c *calculator) browse(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(*tools, "node"), append([]string{"browser/calculator.js", "http://" + c.edge + "/"}, args...)...)
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s", out))
}

// isSeen looks at the page while everything runs, and when add-svc does not.
func (c *calculator) isSeen(t *testing.T) {
	t.Helper()
	c.browse(t, "computes", picture(t, "page.png"))
	must.NoError(t, c.Nomad.Purge(t.Context(), "add-svc"))
	c.browse(t, "complains")
}

// isMeasured looks at what the benchmark has printed and drawn.
func (c *calculator) isMeasured(t *testing.T, out, plot string) {
	t.Helper()
	t.Log("\n" + out)
	for _, row := range []string{"direct", "through the mesh", "requests/s", "p50 (ms)", "p99.9 (ms)", "answers but 200"} {
		must.StrContains(t, out, row)
	}
	drawn, err := os.ReadFile(plot)
	must.NoError(t, err)
	must.StrContains(t, string(drawn), "<svg")
	must.StrContains(t, string(drawn), "through the mesh (")
	must.NoError(t, os.WriteFile(picture(t, "latency.svg"), drawn, 0o644))
}

// The scripts say what is wrong, in a sentence.
func TestCalculator_scripts(t *testing.T) {
	c := cluster(t)
	cases := []struct{ line, want string }{
		{"click.sh -n none", "click.sh: -n is how many clicks, a number, and not none"},
		{"benchmark.sh -z 5", "benchmark.sh: -z is a duration like 5s or 1m, not 5"},
		{"benchmark.sh -o /nowhere/latency.svg", "benchmark.sh: there is no directory for the plot /nowhere/latency.svg"},
		{"click.sh", "click.sh: the job api-gateway has no running allocation; start it with start_all_jobs.sh"},
		{"benchmark.sh", "benchmark.sh: the job add-svc has no running allocation; start it with start_all_jobs.sh"},
		{"start_all_jobs.sh -w docker", "start_all_jobs.sh: -w is tasks or native, not docker"},
		{"start_all_jobs.sh -d /nowhere", "start_all_jobs.sh: there are no job files in /nowhere/tasks; name their directory with -d, or run make dist"},
		{"NOMAD_ADDR=http://127.0.0.1:1 stop_all_jobs.sh", "stop_all_jobs.sh: Nomad at http://127.0.0.1:1 does not answer; is NOMAD_ADDR right, and NOMAD_TOKEN?"},
		{"CONSUL_HTTP_ADDR=127.0.0.1:1 bootstrap.sh -t 1", "bootstrap.sh: Consul at 127.0.0.1:1 has no leader; the last answer was: "},
	}
	for _, s := range cases {
		out, err := c.Shell(t.Context(), withScripts+s.line).CombinedOutput()
		var exit *exec.ExitError
		must.True(t, errors.As(err, &exit) && exit.ExitCode() == 1, must.Sprintf("%s: %v\n%s", s.line, err, out))
		must.StrContains(t, string(out), s.want)
	}
	scripts, err := filepath.Glob("../vagrant/bin/*_jobs.sh")
	must.NoError(t, err)
	for _, script := range append(scripts, "../vagrant/bin/bootstrap.sh", "../vagrant/bin/click.sh", "../vagrant/bin/benchmark.sh") {
		out, err := exec.CommandContext(t.Context(), script, "-h").Output()
		must.NoError(t, err)
		must.StrContains(t, string(out), "\n  "+filepath.Base(script), must.Sprint("it says how it is used"))
	}
}
