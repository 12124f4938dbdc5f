package hook

import (
	"slices"
	"strconv"

	"github.com/hashicorp/nomad/api"
)

// onePerNode keeps instances apart that would be at the same place. Static ports
// alone do not where a node has several addresses, as of IPv4 and IPv6: Nomad
// gives each instance the port on another, and apps and sidecars listen on all of
// them, or on loopback.
func (g *group) onePerNode() {
	if !slices.ContainsFunc(g.ports.all(), isReserved) || slices.ContainsFunc(g.Constraints, isDistinct) {
		return // a distinct_hosts that says "false" is the author's word, too
	}
	if slices.ContainsFunc(g.job.Constraints, isDistinctHosts) {
		return
	}
	if slices.Contains([]string{api.JobTypeSystem, api.JobTypeSysbatch}, deref(g.job.Type)) { // they are apart
		return
	}
	g.Constraints = append(g.Constraints, api.NewConstraint("", api.ConstraintDistinctHosts, "true"))
}

func isDistinct(c *api.Constraint) bool { return c != nil && c.Operand == api.ConstraintDistinctHosts }

// isDistinctHosts reads the value as Nomad does: what is no boolean holds.
func isDistinctHosts(c *api.Constraint) bool {
	if !isDistinct(c) {
		return false
	}
	value, err := strconv.ParseBool(c.RTarget)
	return err != nil || value
}
