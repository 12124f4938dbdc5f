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
	for _, port := range contested(groups) {
		holders := holdersOf(port, groups)
		isSame := func(c contest) bool { return slices.Equal(c.groups, holders) }
		if i := slices.IndexFunc(contests, isSame); i >= 0 {
			contests[i].taken = append(contests[i].taken, reservationOf(port, holders))
		} else {
			contests = append(contests, contest{holders, []reservation{reservationOf(port, holders)}})
		}
	}
	var findings []Finding
	for _, c := range contests {
		findings = append(findings, c.finding())
	}
	return findings
}

// contested are the places that more than one group reserves.
func contested(groups []*checked) []string {
	var all []string
	for _, g := range groups {
		for _, r := range g.reservations() {
			if at := placeOf(r.Port); len(holdersOf(at, groups)) > 1 && !slices.Contains(all, at) {
				all = append(all, at)
			}
		}
	}
	return all
}

// holdersOf are the groups with sidecars that reserve a place.
func holdersOf(at string, groups []*checked) []*checked {
	isThere := func(r reservation) bool { return placeOf(r.Port) == at }
	isHolder := func(g *checked) bool { return len(g.proxies) > 0 && slices.ContainsFunc(g.reservations(), isThere) }
	return slices.DeleteFunc(slices.Clone(groups), func(g *checked) bool { return !isHolder(g) })
}

// reservationOf is what is to be said of a place: an upstream can be moved with the
// least effort.
func reservationOf(at string, holders []*checked) (found reservation) {
	for _, g := range holders {
		for _, r := range g.reservations() {
			if placeOf(r.Port) == at && (found.Value == 0 || found.upstream == "" && r.upstream != "") {
				found = r
			}
		}
	}
	return found
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
func placeOf(port api.Port) string {
	network := port.HostNetwork
	if network == "default" {
		network = ""
	}
	return network + ":" + strconv.Itoa(port.Value)
}
