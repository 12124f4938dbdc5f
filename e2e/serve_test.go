package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

const echoFile = "testdata/hook/echo.nomad.hcl"

// What people do to a job with nomad's commands and its SDK works through the
// server before Nomad as it does with Nomad itself.
func TestServe(t *testing.T) {
	c := cluster(t)
	b := serveBefore(t, c, "-dynamic-ports")

	must.StrContains(t, b.nomad(t, 0, "job", "validate", echoFile), `group "server", service "hook-echo"`, must.Sprint("a warning"))
	plan := b.nomad(t, 1, "job", "plan", echoFile)
	must.StrContains(t, plan, `+ Task: "connect-proxy-hook-echo"`)
	must.StrContains(t, plan, "warnings:\n\n* group \"server\", service \"hook-echo\"")
	b.nomad(t, 0, "job", "run", "-detach", "-var", "text=served", echoFile)
	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "hook-echo"))
	hears("served--hello")(t, c, b.info(t))
	b.nomad(t, 0, "job", "plan", "-var", "text=served", echoFile) // no difference

	t.Run("the author's source is kept", b.keepsSource)
	t.Run("the SDK, as Terraform uses it", b.servesSDK)
	t.Run("scale", b.scales)
	t.Run("a terminal", b.hasTerminal)
	t.Run("logs", b.followsLogs)
	t.Run("events", b.streamsEvents)
	t.Run("in a browser", b.isBrowsed)

	must.NoError(t, c.Nomad.AwaitDeployment(t.Context(), "hook-echo")) // of the edit
	b.nomad(t, 0, "job", "restart", "-yes", "-group", "server", "hook-echo")
	b.nomad(t, 0, "job", "stop", "-detach", "hook-echo")
	eventually(t, time.Minute, func(context.Context) error {
		if job := b.info(t); *job.Status != "dead" {
			return errors.New("the job still runs")
		}
		return nil
	})
	log, err := os.ReadFile(b.log)
	must.NoError(t, err)
	must.StrContains(t, string(log), "method=PUT path=/v1/jobs status=200")
	must.StrContains(t, string(log), "job=rewritten")
	must.NoError(t, c.PurgeJobs(t.Context()))
	nothingLeft(t, c)
}

// info is the job as Nomad has it.
func (b *before) info(t *testing.T) *api.Job {
	t.Helper()
	job, _, err := b.client.Jobs().Info("hook-echo", nil)
	must.NoError(t, err)
	return job
}

func (b *before) keepsSource(t *testing.T) {
	submission, _, err := b.client.Jobs().Submission("hook-echo", int(*b.info(t).Version), nil)
	must.NoError(t, err)
	source, err := os.ReadFile(echoFile)
	must.NoError(t, err)
	must.Eq(t, string(source), submission.Source)
	must.Eq(t, map[string]string{"text": "served"}, submission.VariableFlags)
}

// servesSDK plans and registers what a file says, and then what Nomad says of it.
func (b *before) servesSDK(t *testing.T) {
	source, err := os.ReadFile(echoFile)
	must.NoError(t, err)
	job, err := b.client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: string(source), Variables: `text = "served"`, Canonicalize: true})
	must.NoError(t, err)
	must.NotNil(t, job.TaskGroups[0].Services[0].Connect, must.Sprint("what is parsed is what the author has written"))
	for _, job := range []*api.Job{job, b.info(t)} {
		planned, _, err := b.client.Jobs().PlanOpts(job, &api.PlanOptions{Diff: true}, nil)
		must.NoError(t, err)
		must.Eq(t, "None", planned.Diff.Type)
		before := *b.info(t).Version
		registered, _, err := b.client.Jobs().RegisterOpts(job, &api.RegisterOptions{EnforceIndex: true, ModifyIndex: planned.JobModifyIndex, PreserveCounts: true}, nil)
		must.NoError(t, err)
		must.NotEq(t, "", registered.EvalID)
		must.Eq(t, before, *b.info(t).Version, must.Sprint("nothing has changed"))
	}
	_, _, err = b.client.Jobs().RegisterOpts(job, &api.RegisterOptions{EnforceIndex: true, ModifyIndex: 1}, nil)
	must.ErrorContains(t, err, "Enforcing job modify index 1")
}

// scales has two clients, each with a port of its own, and one again.
func (b *before) scales(t *testing.T) {
	for _, n := range []int{2, 1} {
		b.nomad(t, 0, "job", "scale", "-detach", "hook-echo", "client", fmt.Sprint(n))
		must.NoError(t, b.Nomad.AwaitDeployment(t.Context(), "hook-echo"))
		eventually(t, time.Minute, func(ctx context.Context) error {
			running, err := b.Nomad.Running(ctx, "hook-echo", "client")
			if err == nil && len(running) != n {
				err = fmt.Errorf("%d clients run, and not %d", len(running), n)
			}
			return err
		})
	}
}

// hasTerminal opens one by the command, which goes on to the node by itself where it
// can; a browser's (isBrowsed) is the server's to hand on.
func (b *before) hasTerminal(t *testing.T) {
	alloc := awaitRunning(t, b.Cluster, "hook-echo", "client")
	cmd := b.command(t.Context(), "alloc", "exec", "-i", "-t", "-task", "app", alloc.ID, "sh")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 99})
	must.NoError(t, err)
	defer func() { _ = terminal.Close() }()
	_, err = io.WriteString(terminal, "test -t 0 && stty size && echo a ter''minal; exit 7\n")
	must.NoError(t, err)
	out, _ := io.ReadAll(terminal) // its end is an error
	must.StrContains(t, string(out), "33 99")
	must.StrContains(t, string(out), "a terminal")
	var exit *exec.ExitError
	must.True(t, errors.As(cmd.Wait(), &exit) && exit.ExitCode() == 7)
}

// followsLogs reads lines that the app says after the command has begun, and then
// what the command asks a server for when it cannot get to the node itself.
func (b *before) followsLogs(t *testing.T) {
	alloc := awaitRunning(t, b.Cluster, "hook-echo", "client")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := b.command(ctx, "alloc", "logs", "-f", "-tail", "-n", "1", "-task", "app", alloc.ID)
	out, err := cmd.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	readsLines(t, out)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/v1/client/fs/logs/"+alloc.ID+"?task=app&type=stdout&origin=end&follow=true&plain=true", nil)
	must.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	must.NoError(t, err)
	readsLines(t, response.Body)
	cancel()
	must.NoError(t, response.Body.Close())
	_ = cmd.Wait()
}

// readsLines reads some that have yet to be said.
func readsLines(t *testing.T, from io.Reader) {
	t.Helper()
	lines := bufio.NewReader(from)
	for range 6 {
		_, err := lines.ReadString('\n')
		must.NoError(t, err)
	}
}

// streamsEvents hears of a job within the second in which it is registered.
func (b *before) streamsEvents(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	events, err := b.client.EventStream().Stream(ctx, map[api.Topic][]string{api.TopicJob: {"heard"}}, 0, nil)
	must.NoError(t, err)
	b.nomad(t, 0, "job", "run", "-detach", heardFile(t))
	for e := range events {
		must.NoError(t, e.Err)
		for _, event := range e.Events {
			if event.Type == "JobRegistered" {
				b.nomad(t, 0, "job", "stop", "-purge", "-detach", "heard")
				return
			}
		}
	}
	t.Fatal("the stream has ended, and nothing was heard of the job")
}

// heardFile is a job that nobody runs.
func heardFile(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "heard.nomad.hcl")
	job := "job \"heard\" {\n group \"g\" {\n count = 0\n task \"t\" {\n driver = \"raw_exec\"\n config {\n command = \"true\"\n }\n }\n }\n}\n"
	must.NoError(t, os.WriteFile(file, []byte(job), 0o644))
	return file
}

// answerOf is what is answered to a body, by the server or by Nomad itself.
func answerOf(t *testing.T, url, path, token, body string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+path, strings.NewReader(body))
	must.NoError(t, err)
	request.Header.Set("X-Nomad-Token", token)
	response, err := http.DefaultClient.Do(request)
	must.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	must.NoError(t, err)
	return response.StatusCode, string(answer)
}

// What is wrong is answered as Nomad answers it, and 50 MB go through.
func TestServe_answers(t *testing.T) {
	c := cluster(t)
	b := serveBefore(t, c)
	large := `{"Job":{"ID":"large","Name":"large","Datacenters":["*"],"TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"raw_exec","Config":{"command":"true"},` +
		`"Templates":[{"DestPath":"local/x","EmbeddedTmpl":"` + strings.Repeat("x", 50<<20) + `"}]}]}]}}`
	for _, tc := range []struct {
		path, body string
		status     int
	}{
		{"/v1/jobs", `{"Job":{"ID":`, 400},
		{"/v1/jobs", `not JSON`, 400},
		{"/v1/jobs", `{}`, 400},
		{"/v1/jobs", `{"Job":{"Name":"x"}}`, 400},
		{"/v1/job/other", `{"Job":{"ID":"x"}}`, 400},
		{"/v1/jobs", `{"Job":{"ID":"x","TaskGroups":[]}}`, 500},
		{"/v1/job/x/plan", `{"Job":{"ID":"x","TaskGroups":[]}}`, 500},
		{"/v1/validate/job", `{"Job":{"ID":"x","TaskGroups":[]}}`, 200},
		{"/v1/jobs/parse", `{"JobHCL":"job {"}`, 400},
		{"/v1/job/none/scale", `{"Count":1,"Target":{"Group":"g"}}`, 404},
		{"/v1/validate/job", large, 200},
	} {
		status, want := answerOf(t, "http://"+c.Nomad.HTTP, tc.path, "", tc.body)
		must.Eq(t, tc.status, status, must.Sprintf("Nomad itself: %s: %.200s", tc.path, want))
		status, got := answerOf(t, b.url, tc.path, "", tc.body)
		must.Eq(t, tc.status, status)
		must.Eq(t, want, got)
	}
	out := b.nomad(t, 1, "job", "run", "-detach", refusedFile(t))
	must.StrContains(t, out, "Unexpected response code: 400 (nomad-driver-connect hook: ")
	must.StrContains(t, out, "transparent_proxy")
}

func refusedFile(t *testing.T) string {
	source, err := os.ReadFile(echoFile)
	must.NoError(t, err)
	file := filepath.Join(t.TempDir(), "refused.nomad.hcl")
	source = bytes.Replace(source, []byte("          proxy {\n"), []byte("          proxy {\n            transparent_proxy {}\n"), 1)
	must.NoError(t, os.WriteFile(file, source, 0o644))
	return file
}

// A wrong token is Nomad's to refuse, and no token is in the log.
func TestServe_tokens(t *testing.T) {
	c := newCluster(t, agents.Options{NomadToken: nomadManager})
	defer func() { must.NoError(t, c.Close(context.WithoutCancel(t.Context()))) }()
	b := serveBefore(t, c)
	body := `{"Job":{"ID":"x","Datacenters":["*"],"TaskGroups":[{"Name":"g","Count":0,"Tasks":[{"Name":"t","Driver":"raw_exec","Config":{"command":"true"}}]}]}}`
	const wrong = "01234567-89ab-cdef-0123-456789abcdef"
	for _, token := range []string{"", "no UUID", wrong} {
		status, want := answerOf(t, "http://"+c.Nomad.HTTP, "/v1/jobs", token, body)
		must.Eq(t, 403, status)
		status, got := answerOf(t, b.url, "/v1/jobs", token, body)
		must.Eq(t, 403, status)
		must.Eq(t, want, got)
	}
	status, _ := answerOf(t, b.url, "/v1/jobs?token="+nomadManager, nomadManager, body)
	must.Eq(t, 200, status)
	b.end()
	log, err := os.ReadFile(b.log)
	must.NoError(t, err)
	must.StrContains(t, string(log), "status=403")
	must.StrNotContains(t, string(log), nomadManager)
	must.StrNotContains(t, string(log), wrong)
}

// Nomad's server is restarted under it, and nobody has to do anything.
func TestServe_nomadRestarts(t *testing.T) {
	c := newCluster(t, agents.Options{})
	defer func() { must.NoError(t, c.Close(context.WithoutCancel(t.Context()))) }()
	b := serveBefore(t, c)
	b.nomad(t, 0, "job", "run", "-detach", heardFile(t))
	must.NoError(t, c.Nomad.Server.Stop())
	status, answer := answerOf(t, b.url, "/v1/jobs", "", `{"Job":{"ID":"x"}}`)
	must.Eq(t, http.StatusBadGateway, status)
	must.StrContains(t, answer, "Nomad at http://"+c.Nomad.HTTP+" does not answer")
	must.NoError(t, c.Nomad.Server.Start())
	b.isHealthy(t)
	b.nomad(t, 0, "job", "run", "-detach", heardFile(t))
}
