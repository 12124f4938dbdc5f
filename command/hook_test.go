package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/cli"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

const echoJob = "../e2e/testdata/hook/echo.nomad.hcl"

// runHook runs the command with a standard input.
func runHook(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c := &hookCommand{ui: &cli.BasicUi{Writer: &out, ErrorWriter: &errs}, stdin: strings.NewReader(stdin)}
	status = c.Run(args)
	return status, out.String(), errs.String()
}

func TestHook(t *testing.T) {
	status, text, warnings := runHook("", "-var", "text=hi", echoJob)
	must.Zero(t, status)
	must.StrContains(t, warnings, `Warning: group "server", service "hook-echo" (line 25): the config of sidecar_task is left out`)
	var written struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal([]byte(text), &written))
	must.Eq(t, "connect-proxy-hook-echo", written.Job.TaskGroups[0].Tasks[1].Name)
	must.StrContains(t, text, "hi--/")

	t.Run("JSON from standard input", func(t *testing.T) {
		status, again, warnings := runHook(text, "-")
		must.Zero(t, status)
		must.Eq(t, text, again)
		must.StrNotContains(t, warnings, "sidecar_task", must.Sprint("it is done"))
	})
	t.Run("JSON without Job around it", func(t *testing.T) {
		bare, err := json.Marshal(written.Job)
		must.NoError(t, err)
		_, again, _ := runHook(string(bare), "-json", "-")
		must.Eq(t, text, again)
	})
	t.Run("HCL from standard input", func(t *testing.T) {
		hcl, err := os.ReadFile(echoJob)
		must.NoError(t, err)
		_, again, _ := runHook(string(hcl), "-var=text=hi", "-")
		must.Eq(t, text, again)
	})
	t.Run("variables of a file and of the environment", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "vars.hcl")
		must.NoError(t, os.WriteFile(file, []byte(`text = "of a file"`), 0o644))
		_, text, _ := runHook("", "-var-file", file, echoJob)
		must.StrContains(t, text, "of a file--/")
		t.Setenv("NOMAD_VAR_text", "of the environment")
		_, text, _ = runHook("", echoJob)
		must.StrContains(t, text, "of the environment--/")
	})
	t.Run("dynamic ports", func(t *testing.T) {
		_, text, _ := runHook("", "-dynamic-ports", echoJob)
		must.StrContains(t, text, `"NOMAD_UPSTREAM_ADDR_hook_echo": "127.0.0.1:${NOMAD_PORT_connect_upstream_hook_client_hook_echo}"`)
	})
	t.Run("what would change", func(t *testing.T) {
		status, diff, _ := runHook("", "-diff", echoJob)
		must.Zero(t, status)
		must.StrHasPrefix(t, "--- "+echoJob+"\n+++ "+echoJob+" after hook\n@@ ", diff)
		status, diff, _ = runHook(text, "-diff", "-")
		must.Zero(t, status)
		must.Eq(t, "", diff, must.Sprint("nothing would"))
	})
}

func TestHook_out(t *testing.T) {
	dir := t.TempDir()
	out, link := filepath.Join(dir, "job.json"), filepath.Join(dir, "link")
	must.NoError(t, os.Symlink(out, link))
	must.NoError(t, os.WriteFile(out, []byte("old"), 0o644))

	status, stdout, _ := runHook("", "-out", link, "missing.hcl")
	must.Eq(t, 1, status)
	must.Eq(t, "", stdout)
	kept, err := os.ReadFile(out)
	must.NoError(t, err)
	must.Eq(t, "old", string(kept))

	_, want, _ := runHook("", echoJob)
	status, stdout, _ = runHook("", "-out", link, echoJob)
	must.Zero(t, status)
	must.Eq(t, "", stdout)
	written, err := os.ReadFile(out)
	must.NoError(t, err)
	must.Eq(t, want, string(written))
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 2, entries, must.Sprint("nothing is left of the writing"))

	status, _, _ = runHook("", "-out", "/dev/null", echoJob)
	must.Zero(t, status)
	info, err := os.Stat("/dev/null")
	must.NoError(t, err)
	must.False(t, info.Mode().IsRegular())
}

func TestHook_mistakes(t *testing.T) {
	for _, tc := range []struct {
		args  []string
		stdin string
		want  string
	}{
		{nil, "", "0 files are given; the hook takes one job file after the options, or - for standard input"},
		{[]string{"a", "b"}, "", "2 files are given"},
		{[]string{"-nope"}, "", "flag provided but not defined: -nope; see nomad-driver-connect hook -help"},
		{[]string{"-diff", "-out=x", "a"}, "", "-diff cannot go with -out"},
		{[]string{"-check", "-diff", "a"}, "", "-check goes neither with -diff nor with -out"},
		{[]string{"-check", "-out=x", "a"}, "", "-check goes neither with -diff nor with -out"},
		{[]string{"-check", "-json", "-"}, `job "x" { nope = 1 }`, "nope"},
		{[]string{"-ignore=nope", "a"}, "", "-ignore=nope: no warning has that code; there are canary-needs-node, "},
		{[]string{"nowhere.hcl"}, "", "read the job: open nowhere.hcl: no such file or directory"},
		{[]string{"-"}, `job "x" {`, "read the job stdin:"},
		{[]string{"-"}, `job "x" { nope = 1 }`, "nope"},
		{[]string{"-"}, `{"Job": {"Nope": 1}}`, `read the job stdin as JSON of Nomad's API: json: unknown field "Nope"`},
		{[]string{"-"}, `{"Job": `, "read the job stdin as JSON: unexpected end of JSON input"},
		{[]string{"-json", "-"}, "null", "it is null"},
		{[]string{"-var=a=b", "-"}, "{}", "a job in JSON has no variables"},
		{[]string{"-out=/nowhere/job.json", echoJob}, "", "write the job to /nowhere/job.json: open /nowhere/"},
	} {
		status, stdout, stderr := runHook(tc.stdin, tc.args...)
		must.Eq(t, 1, status, must.Sprint(tc.args))
		must.Eq(t, "", stdout)
		must.StrContains(t, stderr, tc.want)
	}
}

func TestHook_help(t *testing.T) {
	var stdout, stderr bytes.Buffer
	Run([]string{"hook", "-help"}, "1", &stdout, &stderr)
	help := stdout.String() + stderr.String()
	for _, flag := range []string{"-var=<name=value>", "-var-file=<file>", "-json\n", "-out=<file>", "-diff\n", "-dynamic-ports\n", "-upstream-network=<name>", "-check\n", "-strict\n", "-ignore=<code>"} {
		must.StrContains(t, help, "  "+flag)
	}
}
