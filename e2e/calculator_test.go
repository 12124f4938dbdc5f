package e2e

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// calculator is a cluster on which the example runs, and where its edge answers.
type calculator struct {
	*agents.Cluster
	edge string
}

// calculatorServices are its services, which are jobs and groups of that name, and tasks, too.
var calculatorServices = []string{"add-svc", "sub-svc", "frontend", "api-gateway"}

// sum is what the calculator answers.
type sum struct {
	Answer, Error string
	Path          []struct{ Service, Instance, Caller string }
}

// script runs one of the demo VM's scripts, which must succeed.
func (c *calculator) script(t *testing.T, line string) string {
	t.Helper()
	out, err := c.Shell(t.Context(), withScripts+line).CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s:\n%s", line, out))
	return string(out)
}

// withScripts begins a command line that finds the scripts.
const withScripts = "PATH=../vagrant/bin:$PATH; "

// compute asks the edge, over a new connection.
func (c *calculator) compute(ctx context.Context, operator, a, b string) (int, sum, error) {
	var answer sum
	query := url.Values{"a": {a}, "b": {b}}
	status, err := agents.GetJSON(ctx, "http://"+c.edge+"/api/"+operator+"?"+query.Encode(), &answer)
	return status, answer, err
}

// click asks for a sum and wants it right.
func (c *calculator) click(ctx context.Context, n int) error {
	operator, want := "add", n+1
	if n%2 == 1 {
		operator, want = "sub", n-1
	}
	status, answer, err := c.compute(ctx, operator, strconv.Itoa(n), "1")
	if err == nil && answer.Answer != strconv.Itoa(want) {
		err = fmt.Errorf("%s of %d and 1: %d %+v", operator, n, status, answer)
	}
	return err
}

// answered are the instances that have answered a number of sums, by service.
func (c *calculator) answered(ctx context.Context, clicks int) (map[string]map[string]bool, error) {
	seen := map[string]map[string]bool{}
	for n := range clicks {
		_, answer, err := c.compute(ctx, []string{"add", "sub"}[n%2], "1", "2")
		if err != nil {
			return nil, err
		}
		for _, hop := range answer.Path {
			if seen[hop.Service] == nil {
				seen[hop.Service] = map[string]bool{}
			}
			seen[hop.Service][hop.Instance] = true
		}
	}
	return seen, nil
}

// everyoneAnswers sees both instances of all services in the table of click.sh.
func (c *calculator) everyoneAnswers(t *testing.T) {
	t.Helper()
	out := c.script(t, "click.sh -n 40")
	must.StrContains(t, out, "40 clicks at http://"+c.edge+"/, 0 failed")
	for _, service := range calculatorServices {
		for _, alloc := range c.instances(t, service) {
			must.StrContains(t, out, service+"/"+alloc.ID[:8])
		}
	}
}

// calculatorReadme tells how it is run, in both of its forms.
const calculatorReadme = "../example-jobs/calculator/README.md"

// starts has its script start it, and finds where it answers.
func (c *calculator) starts(t *testing.T, typed func() string) {
	t.Helper()
	const sentence = "The calculator answers at http://"
	out := typed()
	_, said, ok := strings.Cut(out, sentence)
	must.True(t, ok, must.Sprintf("nothing begins with %q:\n%s", sentence, out))
	c.edge, _, _ = strings.Cut(said, "/")
	c.computes(t)
	c.everyoneAnswers(t)
}

// Who follows the calculator's README has it compute in both of its forms, with two
// instances of everything, and loses nothing when one of them ends.
func TestCalculator(t *testing.T) {
	c := &calculator{Cluster: cluster(t)}
	defer func() {
		for _, service := range calculatorServices {
			tellStory(t, c.Cluster, service)
		}
	}()
	follow(t, c.Cluster, calculatorReadme, around{
		"vagrant/bin/start_all_jobs.sh": func(typed func() string) {
			c.starts(t, typed)
			c.survives(t)
		},
		"nomad job scale add-svc 4": func(typed func() string) { c.scales(t, typed) },
		"vagrant/bin/benchmark.sh -z 2s -r 2 -o bin/latency.svg": func(typed func() string) {
			c.isMeasured(t, typed(), "../bin/latency.svg")
			c.isSeen(t)
		},
		"vagrant/bin/start_all_jobs.sh -w native": func(typed func() string) { c.starts(t, typed) },
		"vagrant/bin/stop_all_jobs.sh": func(typed func() string) {
			typed()
			nothingLeft(t, c.Cluster)
		},
	})
}
