package hook

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// A job that would take minutes is refused, and one without sidecars never is.
func TestRewrite_size(t *testing.T) {
	t.Parallel()
	job := parse(t, stanza.Job(stanza.Network+stanza.Web("")))
	add := func(g *api.TaskGroup, n int) {
		for i := range n {
			g.Networks[0].DynamicPorts = append(g.Networks[0].DynamicPorts, api.Port{Label: fmt.Sprint("p", i)})
		}
	}
	add(job.TaskGroups[0], maxPartsOfGroup)
	_, err := Rewrite(job, Options{})
	must.ErrorContains(t, err, "a group with Connect can have 2000; divide it")

	job = parse(t, stanza.Job(stanza.Network+stanza.Web("")))
	add(job.TaskGroups[0], maxPartsOfGroup-10)
	_, err = Rewrite(job, Options{})
	must.NoError(t, err)
	job.TaskGroups = slices.Repeat(job.TaskGroups, 6)
	_, err = Rewrite(job, Options{})
	must.ErrorContains(t, err, "one with Connect can have 10000; divide it")
	for _, g := range job.TaskGroups {
		g.Services = nil
	}
	_, err = Rewrite(job, Options{})
	must.NoError(t, err)
}

// Every task is told of every upstream: a short job would become one of gigabytes.
func TestRewrite_sizeOfVariables(t *testing.T) {
	t.Parallel()
	job := parse(t, stanza.Job(stanza.Network+stanza.Web(stanza.Proxy(""))))
	g := job.TaskGroups[0]
	upstreams := slices.Repeat([]*api.ConsulUpstream{{DestinationName: "db"}}, 500)
	g.Services[0].Connect.SidecarService.Proxy = &api.ConsulProxy{Upstreams: upstreams}
	for i := range 500 {
		g.Tasks = append(g.Tasks, api.NewTask(fmt.Sprint("t", i), "exec"))
	}
	_, err := Rewrite(job, Options{})
	must.ErrorContains(t, err, "as each task of a group is told of all of them, and 10000 can be; divide its groups")
}

// Each port of Envoy's own JSON may want one of the group.
func TestRewrite_sizeOfListeners(t *testing.T) {
	t.Parallel()
	job := parse(t, stanza.Job(stanza.Network+stanza.Web(stanza.Proxy(""))))
	job.TaskGroups[0].Services[0].Connect.SidecarService.Proxy = &api.ConsulProxy{Config: map[string]any{
		"envoy_extra_static_listeners_json": strings.Repeat(`{"port_value": 1}`, maxPartsOfGroup),
	}}
	_, err := Rewrite(job, Options{})
	must.ErrorContains(t, err, "divide it")
}

// An empty namespace is Nomad's default, whatever that is called.
func TestServiceName_emptyNamespace(t *testing.T) {
	t.Parallel()
	job := &api.Job{ID: pointer("shop"), Namespace: pointer(""), Region: pointer("")}
	must.Eq(t, "a-${NOMAD_NAMESPACE}-${NOMAD_REGION}", serviceName(job, "g", &api.Service{Name: "a-${NOMAD_NAMESPACE}-${NOMAD_REGION}"}))
}
