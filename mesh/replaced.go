package mesh

import (
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"
)

// Nomad registers two checks of a sidecar and, with any update of the job, registers
// both again and removes all that it does not know: our ready check, too. Consul keeps
// the status of a check that it knows by its ID, whatever kind it was. So checks of
// ours are under Nomad's IDs, with the ready check's status, which they hold while the
// ready check is gone and until Consul has run Nomad's.

// The names under which Nomad registers its checks of a sidecar (command/agent/consul/connect.go
// of Nomad 1.11). The agent does not tell the type of a service's checks.
const (
	listeningCheck = "Connect Sidecar Listening"
	aliasingCheck  = "Connect Sidecar Aliasing "
)

const (
	// replacedName is what ours in their places are called.
	replacedName = "Connect Sidecar Follows The Driver"

	// replacedTTL is how long such a check keeps its status without being told:
	// for ever.
	replacedTTL = "87600h"
)

// nomadsChecks are those of a sidecar that Nomad has registered, under the IDs that
// Consul gives.
func nomadsChecks(checks map[string]*api.HealthCheck) []string {
	return checksNamed(checks, func(name string) bool {
		return name == listeningCheck || strings.HasPrefix(name, aliasingCheck)
	})
}

// replacedChecks are ours in their places.
func replacedChecks(checks map[string]*api.HealthCheck) []string {
	return checksNamed(checks, func(name string) bool { return name == replacedName })
}

func checksNamed(checks map[string]*api.HealthCheck, fits func(name string) bool) []string {
	var ids []string
	for id, check := range checks {
		if fits(check.Name) && strings.HasPrefix(id, "service:") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// replacement is our check in the place of one of Nomad's.
func replacement(proxyID, checkID string, v verdict) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{
		CheckID: checkID,
		Name:    replacedName,
		Notes:   replacedNote(proxyID),
		TTL:     replacedTTL,
		Status:  v.status,
	}
}

func replacedNote(proxyID string) string { return "as " + readyCheckID(proxyID) + " says" }
