package hook

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// reservation is a static port of a group, which one instance on a node can have.
type reservation struct {
	api.Port
	group    string
	upstream string // the destination that apps find there, if one
	service  string // whose upstream that is
	made     bool   // by this hook: the author has not written it
	earlier  bool   // in an earlier pass, with a constraint
}

func (r reservation) String() string {
	if r.upstream == "" {
		return strconv.Itoa(r.Value)
	}
	return fmt.Sprintf("%d (upstream %q)", r.Value, r.upstream)
}

// reservations are the static ports of the group.
func (c *checked) reservations() []reservation {
	written := map[string]int{}
	for _, port := range portsOfGroup(c.before) {
		written[port.Label] = port.Value
	}
	upstreams := c.upstreamsByPort()
	var all []reservation
	for _, port := range portsOfGroup(c.after) {
		if !isReserved(port) {
			continue
		}
		earlier := written[port.Label] != 0 && isMadeUp(port.Label)
		r := reservation{Port: port, group: deref(c.after.Name), made: written[port.Label] == 0 || earlier, earlier: earlier}
		if u, ok := upstreams[port.Label]; ok {
			r.upstream, r.service = u.destination, u.service
		}
		all = append(all, r)
	}
	return all
}

// isMadeUp knows the labels that this hook gives.
func isMadeUp(label string) bool {
	return strings.HasPrefix(label, upstreamLabel) || strings.HasPrefix(label, appLabel)
}

// apart are the reservations by which the group's instances are on nodes of their
// own, unless the author wants them there for another reason.
func (c *checked) apart() []reservation {
	isEarlier := func(r reservation) bool { return r.earlier }
	all := c.reservations()
	if c.keptApart() && !slices.ContainsFunc(all, isEarlier) {
		return nil
	}
	return all
}

// keptApart tells whether the author keeps the group's instances on nodes of their
// own.
func (c *checked) keptApart() bool {
	return slices.ContainsFunc(c.before.Constraints, isDistinct) || slices.ContainsFunc(c.job.Constraints, isDistinct)
}

// oneInstanceANode tells of groups that want more nodes than their author knows. The
// author of a static port knows.
func (c *checked) oneInstanceANode() {
	isWritten := func(r reservation) bool { return !r.made }
	apart, n := slices.DeleteFunc(c.apart(), isWritten), c.mostInstances()
	if len(apart) == 0 || n < 2 || !c.hasType(api.JobTypeService, api.JobTypeBatch) {
		return
	}
	c.find("one-instance-a-node", Finding{at: "count"},
		fmt.Sprintf("%d instances need %d nodes, as each reserves %s", n, n, listOf(apart)), shareANode(apart))
}

// canaryNeedsNode tells of canaries that a full cluster has no place for.
func (c *checked) canaryNeedsNode() {
	apart, canaries, n := c.apart(), deref(c.update().Canary), c.instances()
	if len(apart) == 0 || canaries == 0 || n == 0 || !c.hasType(api.JobTypeService) {
		return
	}
	c.find("canary-needs-node", Finding{at: "update/canary"},
		fmt.Sprintf("canaries need free nodes, as every instance reserves %s: count = %d and canary = %d are %d nodes", listOf(apart), n, canaries, n+canaries), shareANode(apart))
}

// unreservedUpstream tells of sidecars that would meet on a port that the scheduler
// does not know of. Where the job has a connect block, the hook has reserved it.
func (c *checked) unreservedUpstream() {
	if c.mostInstances() < 2 && deref(c.update().Canary) == 0 || c.keptApart() {
		return
	}
	reserved := map[string]bool{}
	for _, r := range c.reservations() {
		reserved[strconv.Itoa(r.Value)] = true
	}
	for _, p := range c.proxies {
		for _, u := range p.upstreams {
			if u.label != "" || u.number == "" || reserved[u.number] {
				continue
			}
			c.find("unreserved-upstream", Finding{Task: p.task.Name, at: "config/sidecar_service/proxy/upstreams destination_name=" + u.destination + "/local_bind_port"},
				fmt.Sprintf("the scheduler does not know of port %s (upstream %q): of two instances on a node the second does not start", u.number, u.destination),
				"name a port of the group instead (port = \"<label>\"), dynamic or static")
		}
	}
}

// shareANode says how instances can be on the same node.
func shareANode(taken []reservation) string {
	var ways []string
	for _, r := range taken {
		way := fmt.Sprintf("let the app listen on ${NOMAD_PORT_%s}, a dynamic port", envName(r.Label))
		switch {
		case r.upstream != "":
			way = "use -dynamic-ports, with which apps find upstreams at NOMAD_UPSTREAM_ADDR_<destination>"
		case isMadeUp(r.Label):
			way = fmt.Sprintf("give the service the label of a dynamic port instead of %d, and let the app listen on ${NOMAD_PORT_<label>}", r.Value)
		}
		if !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return strings.Join(ways, "; ")
}

func listOf(taken []reservation) string {
	numbers := make([]string, len(taken))
	for i, r := range taken {
		numbers[i] = r.String()
	}
	word := "port "
	if len(taken) > 1 {
		word = "ports "
	}
	return word + strings.Join(numbers, ", ")
}
