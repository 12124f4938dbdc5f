package hook

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/hashicorp/nomad/jobspec2"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/differential"
	"nomad-driver-connect/e2e/stanza"
)

// Any job is refused or rewritten, and then nothing has changed but what this
// hook is for.
func FuzzRewrite(f *testing.F) {
	add := func(hcl string) {
		f.Add([]byte(hcl), false)
		f.Add([]byte(hcl), true)
		if job := parseAny([]byte(hcl)); job != nil {
			text, err := Encode(job)
			must.NoError(f, err)
			f.Add(text, false)
		}
	}
	for _, r := range stanza.Rows() {
		add(stanza.Job(r.Group))
	}
	for _, r := range stanza.Refusals() {
		add(stanza.Job(r.Group))
	}
	for _, job := range differential.Jobs() {
		add(job.Host())
	}
	f.Fuzz(func(t *testing.T, body []byte, dynamic bool) {
		job := parseAny(body)
		if job == nil {
			return
		}
		before, err := json.Marshal(job)
		if err != nil { // infinity is a number in HCL
			return
		}
		result, err := Rewrite(job, Options{DynamicPorts: dynamic})
		must.Eq(t, string(before), asJSON(t, job), must.Sprint("the job that is given stays as it is"))
		if err != nil {
			return
		}
		onlyConnectChanged(t, job, result.Job)
		for i, g := range result.Job.TaskGroups {
			nomadTakesPorts(t, job.TaskGroups[i], g)
		}
		again, err := Rewrite(result.Job, Options{DynamicPorts: dynamic})
		must.NoError(t, err)
		must.Eq(t, asJSON(t, result.Job), asJSON(t, again.Job), must.Sprint("a second pass changes nothing"))
		_, err = Diff("job", job, result.Job)
		must.NoError(t, err)
	})
}

// parseAny reads HCL and JSON without looking at files; nil when it is no job.
func parseAny(body []byte) (job *api.Job) {
	defer func() { _ = recover() }() // what jobspec2 does to itself is not ours
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		job, _ = Parse(Source{Body: body})
		return job
	}
	job, err := jobspec2.ParseWithConfig(&jobspec2.ParseConfig{Path: "job.nomad.hcl", Body: body, Strict: true})
	if err != nil {
		return nil
	}
	return job
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	must.NoError(t, err)
	return string(text)
}

// onlyConnectChanged compares two jobs without what the hook is for.
func onlyConnectChanged(t *testing.T, before, after *api.Job) {
	t.Helper()
	must.Eq(t, len(before.TaskGroups), len(after.TaskGroups))
	old, err := clone(before)
	must.NoError(t, err)
	now, err := clone(after)
	must.NoError(t, err)
	for i, g := range old.TaskGroups {
		if ours := now.TaskGroups[i]; concerned(g) {
			portsStay(t, g.Networks, ours.Networks)
			ours.Tasks = ours.Tasks[:len(g.Tasks)]
			for i, task := range g.Tasks { // what speaks of an upstream is written out
				speaks := func(name, _ string) bool { return strings.Contains(task.Env[name], "${NOMAD_UPSTREAM_") }
				maps.DeleteFunc(ours.Tasks[i].Env, speaks)
				maps.DeleteFunc(task.Env, speaks)
			}
			without(g)
			without(ours)
		}
	}
	must.Eq(t, asJSON(t, old), asJSON(t, now))
}

// concerned tells groups on the host network with sidecars or gateways.
func concerned(g *api.TaskGroup) bool {
	host := len(g.Networks) == 0
	for _, n := range g.Networks {
		host = host || n.Mode == "" || n.Mode == "host"
	}
	return host && slices.ContainsFunc(g.Services, func(s *api.Service) bool {
		return s.Connect != nil && (s.Connect.SidecarService != nil || s.Connect.Gateway != nil)
	})
}

// without removes what the hook may change, in a group as it was and as it is.
func without(g *api.TaskGroup) {
	g.Constraints = slices.DeleteFunc(g.Constraints, func(c *api.Constraint) bool { return c != nil && c.Operand == api.ConstraintDistinctHosts })
	if len(g.Constraints) == 0 {
		g.Constraints = nil
	}
	for _, n := range g.Networks {
		n.Mode, n.DynamicPorts, n.ReservedPorts = "", nil, nil
	}
	if len(g.Networks) == 0 {
		g.Networks = []*api.NetworkResource{{}}
	}
	for _, t := range g.Tasks {
		for name := range t.Env {
			if strings.HasPrefix(name, "NOMAD_UPSTREAM_") {
				delete(t.Env, name)
			}
		}
		if len(t.Env) == 0 {
			t.Env = nil
		}
	}
	services := slices.Clone(g.Services)
	for _, t := range g.Tasks {
		services = append(services, t.Services...)
	}
	for _, s := range services {
		s.AddressMode = ""
		for i := range s.Checks {
			s.Checks[i].AddressMode = ""
		}
	}
	for _, s := range g.Services {
		s.Name, s.Connect = "", nil
		for i := range s.Checks {
			s.Checks[i].Expose, s.Checks[i].PortLabel = false, ""
		}
	}
}

// portsStay wants every port of before, but for what it maps to.
func portsStay(t *testing.T, before, after []*api.NetworkResource) {
	t.Helper()
	if len(before) == 0 {
		return
	}
	all := func(n *api.NetworkResource) []api.Port { return slices.Concat(n.ReservedPorts, n.DynamicPorts) }
	now := all(after[0])
	for _, port := range all(before[0]) {
		must.True(t, slices.ContainsFunc(now, func(other api.Port) bool {
			static := other.Value == port.Value || other.Value == port.To
			return other.Label == port.Label && static && other.HostNetwork == port.HostNetwork && other.IgnoreCollision == port.IgnoreCollision
		}), must.Sprintf("port %q in %v", port.Label, now))
	}
}

// nomadTakesPorts wants what Nomad wants of the ports of a group, where they were so
// before: labels that differ, also as variables, and numbers that do so on a host
// network. And every label that a sidecar's config has must be there.
func nomadTakesPorts(t *testing.T, before, after *api.TaskGroup) {
	t.Helper()
	if reserveTwice(before) == "" {
		must.Eq(t, "", reserveTwice(after))
	}
	labels := map[string]bool{}
	for _, port := range portsOfGroup(after) {
		labels[port.Label] = true
	}
	for _, task := range after.Tasks[len(before.Tasks):] {
		for _, label := range labelsOf(task.Config["sidecar_service"]) {
			must.True(t, labels[label], must.Sprintf("the port %q of %s is none of %v", label, task.Name, labels))
		}
	}
}

// reserveTwice gives a label or number that the group has twice.
func reserveTwice(g *api.TaskGroup) string {
	seen := map[string]bool{}
	for _, port := range portsOfGroup(g) {
		for _, own := range []string{envName(port.Label), placeOf(port)} {
			if seen[own] && (own != placeOf(port) || port.Value != 0 && !port.IgnoreCollision) {
				return own
			}
			seen[own] = true
		}
	}
	return ""
}

// labelsOf are the labels of ports in a sidecar's config.
func labelsOf(value any) (labels []string) {
	switch v := value.(type) {
	case map[string]any:
		for key, part := range v {
			if label, ok := part.(string); ok && (key == "port" || key == "listener_port") {
				labels = append(labels, label)
			}
			if key != "config" && key != "meta" {
				labels = append(labels, labelsOf(part)...)
			}
		}
	case []any:
		for _, part := range v {
			labels = append(labels, labelsOf(part)...)
		}
	}
	return labels
}
