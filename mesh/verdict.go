package mesh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/sidecar"
)

// readyNote is what the ready check says when all is well.
const readyNote = "the proxy is ready, and the local service accepts connections"

// verdict is what peers are told: the ready check's status, and the sentence that
// goes with it, which is never empty.
type verdict struct{ status, note string }

// judge makes it of a standing and of the checks of the service that the proxy stands
// before. Maintenance of the proxy itself is in its own checks, which Consul counts
// beside: it is named only.
func judge(s sidecar.Standing, parent, own []*api.HealthCheck) verdict {
	v := verdict{api.HealthPassing, readyNote}
	worst := worstOf(parent)
	switch {
	case !s.Open:
		v = verdict{api.HealthCritical, cmp.Or(s.Why, "the proxy is not ready")}
	case worst != nil && (worst.Status == api.HealthCritical || s.Why == ""):
		v = verdict{worst.Status, sentence(worst)}
	case s.Why != "":
		v = verdict{api.HealthWarning, s.Why}
	}
	for _, check := range own {
		if isMaintenance(check) && v.note != sentence(check) {
			v.note += "; " + sentence(check)
		}
	}
	return v
}

// worstOf is the check that is least well, the first of several by its ID; nil when
// all pass.
func worstOf(checks []*api.HealthCheck) *api.HealthCheck {
	var worst *api.HealthCheck
	for _, check := range checks {
		if check.Status != api.HealthPassing && (worst == nil || (worst.Status == api.HealthWarning && check.Status == api.HealthCritical)) {
			worst = check
		}
	}
	return worst
}

// sorted gives checks in the order of their IDs.
func sorted(checks map[string]*api.HealthCheck) []*api.HealthCheck {
	list := make([]*api.HealthCheck, 0, len(checks))
	for _, check := range checks {
		list = append(list, check)
	}
	slices.SortFunc(list, func(a, b *api.HealthCheck) int { return strings.Compare(a.CheckID, b.CheckID) })
	return list
}

// isMaintenance tells the checks by which operators take a service, or all of a node,
// out of use.
func isMaintenance(check *api.HealthCheck) bool {
	return check.CheckID == api.NodeMaint || strings.HasPrefix(check.CheckID, api.ServiceMaintPrefix)
}

// sentence says how a check is that is not well.
func sentence(check *api.HealthCheck) string {
	who := "the service"
	switch {
	case check.CheckID == api.NodeMaint:
		who = "the node"
	case strings.HasSuffix(check.CheckID, proxySuffix):
		who = "the sidecar"
	}
	if isMaintenance(check) {
		return fmt.Sprintf("%s is in maintenance: %s", who, cmp.Or(firstLine(check.Notes), "no reason is given"))
	}
	name := cmp.Or(check.Name, check.CheckID)
	if check.Output == "" {
		return fmt.Sprintf("the service's check %q is %s: Consul has not run it yet", name, check.Status)
	}
	return fmt.Sprintf("the service's check %q is %s: %s", name, check.Status, firstLine(check.Output))
}
