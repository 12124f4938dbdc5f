package hook

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// contest is the ports that the same groups reserve, each of them for itself.
type contest struct {
	groups []*checked
	taken  []reservation
}

// groupsThatExclude tells of groups of a job that cannot be on one node. Each set of
// groups is told of once.
func groupsThatExclude(groups []*checked) []Finding {
	var contests []contest
	for _, p := range placesOf(groups) {
		if len(p.holders) < 2 {
			continue
		}
		isSame := func(c contest) bool { return slices.Equal(c.groups, p.holders) }
		if i := slices.IndexFunc(contests, isSame); i >= 0 {
			contests[i].taken = append(contests[i].taken, p.reservation)
		} else {
			contests = append(contests, contest{p.holders, []reservation{p.reservation}})
		}
	}
	var findings []Finding
	for _, c := range contests {
		findings = append(findings, c.finding())
	}
	return findings
}

// place is a port of a node, the groups with sidecars that reserve it, and what is to
// be said of it.
type place struct {
	reservation
	holders []*checked
}

// placesOf are those of all groups, in the order of the job.
func placesOf(groups []*checked) (all []*place) {
	byName := map[string]*place{}
	for _, g := range groups {
		if len(g.proxies) == 0 {
			continue
		}
		for _, r := range g.reservations() {
			at := placeOf(r.Port)
			if byName[at] == nil {
				byName[at] = &place{reservation: r}
				all = append(all, byName[at])
			}
			byName[at].hold(g, r)
		}
	}
	return all
}

// hold adds a group. An upstream can be moved with the least effort, and so goes
// before what else is there.
func (p *place) hold(g *checked, r reservation) {
	if n := len(p.holders); n == 0 || p.holders[n-1] != g {
		p.holders = append(p.holders, g)
	}
	if p.upstream == "" && r.upstream != "" {
		p.reservation = r
	}
}

func (c contest) finding() Finding {
	names := make([]string, len(c.groups))
	for i, g := range c.groups {
		names[i] = strconv.Quote(deref(g.after.Name))
	}
	first := c.taken[0]
	f := Finding{
		Code: "groups-exclude", Group: first.group, at: "network/port " + first.Label,
		Problem: fmt.Sprintf("groups %s each reserve %s, so they never share a node", strings.Join(names, " and "), listOf(c.taken)),
		WayOut:  shareANode(c.taken),
	}
	if first.upstream != "" {
		f.Service, f.at = first.service, "connect/sidecar_service/proxy/upstreams destination_name="+first.upstream
	}
	return f
}

// placeOf is a port as nodes have it once.
func placeOf(port api.Port) string { return hostNetworkOf(port) + ":" + strconv.Itoa(port.Value) }
