package command

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// What can be said of a job, by what is changed in it.
const (
	plainJob = `job "j" {
  group "g" {
    shutdown_delay = "5s"
    network {
      mode = "host"
      port "http" {}
    }
    service {
      name = "web"
      port = "http"
      connect {
        sidecar_service {}
      }
    }
    task "t" {
      driver = "exec"
      config {
        command = "t"
      }
    }
  }
}`
	noDelay = `Warning: group "g" (line 2): the group has no shutdown_delay: at a stop its tasks end while peers still come, and those get errors; set shutdown_delay = "5s" in the group [no-shutdown-delay]` + "\n"
)

var (
	warnedJob  = strings.Replace(plainJob, `shutdown_delay = "5s"`, "", 1)
	refusedJob = strings.Replace(warnedJob, "sidecar_service {}", "sidecar_service {\nproxy {\ntransparent_proxy {}\n}\n}", 1)
)

func TestHookCheck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		job    string
		args   []string
		status int
		want   string
	}{
		{"nothing", plainJob, nil, 0, ""},
		{"nothing, strict", plainJob, []string{"-strict"}, 0, ""},
		{"a warning", warnedJob, nil, 0, noDelay},
		{"a warning, strict", warnedJob, []string{"-strict"}, 2, noDelay},
		{"a warning, ignored", warnedJob, []string{"-strict", "-ignore=no-shutdown-delay"}, 0, ""},
		{"refused", refusedJob, []string{"-strict"}, 1, `Error: group "g", service "web" (line 8): transparent_proxy redirects`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := runHook(tc.job, append(append([]string{"-check"}, tc.args...), "-")...)
			must.Eq(t, tc.status, status)
			must.StrHasPrefix(t, tc.want, stdout)
			must.Eq(t, tc.want == "", stdout == "")
			must.Eq(t, "", stderr)
		})
	}
}

// Machines get every key of every finding, and an array when there is none.
func TestHookCheck_json(t *testing.T) {
	t.Parallel()
	status, stdout, _ := runHook(plainJob, "-check", "-json", "-")
	must.Zero(t, status)
	must.Eq(t, "[]\n", stdout)

	status, stdout, _ = runHook(warnedJob, "-check", "-json", "-strict", "-")
	must.Eq(t, 2, status)
	var found []map[string]any
	must.NoError(t, json.Unmarshal([]byte(stdout), &found))
	must.Eq(t, []map[string]any{{
		"file": "stdin", "severity": "warning", "code": "no-shutdown-delay", "group": "g", "service": "", "task": "", "line": 2.0,
		"problem": "the group has no shutdown_delay: at a stop its tasks end while peers still come, and those get errors",
		"way_out": `set shutdown_delay = "5s" in the group`,
	}}, found)

	status, stdout, _ = runHook(refusedJob, "-check", "-json", "-")
	must.One(t, status)
	must.NoError(t, json.Unmarshal([]byte(stdout), &found))
	must.Eq[any](t, "error", found[0]["severity"])
	must.Eq[any](t, "refused", found[0]["code"])
}

// Every pass says the same lines, and with -strict nothing is written that would run.
func TestHook_warnings(t *testing.T) {
	t.Parallel()
	status, job, stderr := runHook(warnedJob, "-")
	must.Zero(t, status)
	must.Eq(t, noDelay, stderr)
	must.StrContains(t, job, "connect-proxy-web")

	status, again, stderr := runHook(job, "-")
	must.Zero(t, status)
	must.Eq(t, job, again)
	must.Eq(t, strings.Replace(noDelay, " (line 2)", "", 1), stderr)

	status, stdout, stderr := runHook(warnedJob, "-strict", "-")
	must.Eq(t, 2, status)
	must.Eq(t, "", stdout)
	must.Eq(t, noDelay, stderr)

	status, stdout, _ = runHook(warnedJob, "-strict", "-diff", "-")
	must.Eq(t, 2, status)
	must.StrContains(t, stdout, "connect-proxy-web", must.Sprint("a diff runs nothing"))

	status, job, stderr = runHook(warnedJob, "-strict", "-ignore=no-shutdown-delay", "-")
	must.Zero(t, status)
	must.Eq(t, "", stderr)
	must.StrContains(t, job, "connect-proxy-web")
}
