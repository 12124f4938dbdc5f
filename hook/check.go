package hook

import (
	"slices"

	"github.com/hashicorp/nomad/api"
)

// Check gives what Rewrite says of a job: what is refused, and what will not do as
// the author expects. Unlike Rewrite it goes on after a refusal, with the other
// groups.
func Check(job *api.Job, options Options) (refused, warnings []Finding) {
	result, err := transform(job, options)
	refused = refusals(err)
	if result.Job == nil {
		return refused, nil
	}
	return refused, append(result.Warnings, check(job, result.Job, refused)...)
}

// checked is a group as it is written and as it will run.
type checked struct {
	job      *api.Job // as it will run
	before   *api.TaskGroup
	after    *api.TaskGroup
	proxies  []proxy // the group's sidecars of this driver
	findings []Finding
}

// check compares a job with what has become of it. Groups that are refused are left
// out: half of what is to be said of them has not been done.
func check(before, after *api.Job, refused []Finding) []Finding {
	var groups []*checked
	for i, g := range after.TaskGroups {
		isThis := func(f Finding) bool { return f.Group == deref(g.Name) }
		if !slices.ContainsFunc(refused, isThis) {
			groups = append(groups, &checked{job: after, before: before.TaskGroups[i], after: g, proxies: proxiesOf(g)})
		}
	}
	var findings []Finding
	for _, g := range groups {
		g.check()
		findings = append(findings, g.findings...)
	}
	return append(findings, groupsThatExclude(groups)...)
}

func (c *checked) check() {
	c.leftToNomad()
	c.ownSidecarInBridge()
	c.weights()
	if !c.onHost() || len(c.proxies) == 0 {
		return
	}
	for _, one := range []func(){
		c.offHostNetwork, c.toLeft,
		c.oneInstanceANode, c.canaryNeedsNode, c.unreservedUpstream,
		c.besideTheSidecar, c.noShutdownDelay, c.checkRestart, c.upstreamReplaces,
	} {
		one()
	}
}

// find adds a finding, whose place is where.
func (c *checked) find(code string, where Finding, problem, wayOut string) {
	where.Code, where.Group, where.Problem, where.WayOut = code, deref(c.after.Name), problem, wayOut
	c.findings = append(c.findings, where)
}

// onHost tells whether the group will run on the host network.
func (c *checked) onHost() bool {
	isHost := func(n *api.NetworkResource) bool { return n.Mode == "" || n.Mode == "host" }
	return len(c.after.Networks) == 0 || slices.ContainsFunc(c.after.Networks, isHost)
}

// hasType tells whether the job is of one of the types.
func (c *checked) hasType(types ...string) bool {
	own := deref(c.job.Type)
	if own == "" {
		own = api.JobTypeService
	}
	return slices.Contains(types, own)
}

// update is how the group is updated: its own block over the job's.
func (c *checked) update() *api.UpdateStrategy {
	update := api.DefaultUpdateStrategy()
	update.Merge(c.job.Update)
	update.Merge(c.after.Update)
	return update
}

// instances are how many the job asks for.
func (c *checked) instances() int {
	if c.after.Count == nil {
		return 1
	}
	return *c.after.Count
}

// mostInstances are how many scaling may ask for.
func (c *checked) mostInstances() int {
	if s := c.after.Scaling; s != nil && (s.Enabled == nil || *s.Enabled) {
		return max(c.instances(), int(deref(s.Max)))
	}
	return c.instances()
}
