package hook

import (
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// leftToNomad tells of groups whose connect blocks this hook has not touched. An
// author who names this driver in sidecar_task wants that.
func (c *checked) leftToNomad() {
	if c.onHost() {
		return
	}
	for _, s := range c.after.Services {
		connect := s.Connect
		if connect == nil || connect.SidecarService == nil && connect.Gateway == nil {
			continue
		}
		if connect.SidecarTask == nil || connect.SidecarTask.Driver != driverName {
			c.find("left-to-nomad", Finding{at: "network/mode"},
				fmt.Sprintf("the group is left to Nomad's own Connect (mode = %q)", c.after.Networks[0].Mode),
				`set mode = "host" for this driver's sidecar on the host network, or sidecar_task { driver = "connect" config { bootstrap {} } } for this driver in Nomad's network`)
			return
		}
	}
}

// ownSidecarInBridge tells of tasks that the driver refuses when they start.
func (c *checked) ownSidecarInBridge() {
	if c.onHost() {
		return
	}
	for _, p := range c.proxies {
		c.find("own-sidecar-in-bridge", Finding{Task: p.task.Name, at: "config/sidecar_service"},
			fmt.Sprintf("sidecar_service is for the host network, and the group is in mode = %q: the task will not start", c.after.Networks[0].Mode),
			`set mode = "host", or give the service connect { sidecar_service {} sidecar_task { driver = "connect" config { bootstrap {} } } } instead of the task`)
	}
}

// ownNetwork has the drivers that do not run tasks on the host network by
// themselves, and what makes them.
var ownNetwork = map[string]struct{ key, value string }{
	"docker":            {"network_mode", "host"},
	"podman":            {"network_mode", "host"},
	"containerd-driver": {"host_network", "true"},
	"qemu":              {},
}

// offHostNetwork tells of tasks whose 127.0.0.1 is another one than the sidecar's.
func (c *checked) offHostNetwork() {
	for _, t := range c.after.Tasks {
		if !isOffHost(t) {
			continue
		}
		how, wayOut := ownNetwork[t.Driver], "run it with another driver, or the group in mode = \"bridge\""
		if how.key != "" {
			value := fmt.Sprintf("%q", how.value)
			if how.value == "true" {
				value = how.value
			}
			wayOut = fmt.Sprintf("set config { %s = %s }", how.key, value)
		}
		c.find("off-host-network", Finding{Task: t.Name, at: "config/" + how.key},
			fmt.Sprintf("the task (%s) is not on the host network: its 127.0.0.1 is its own, where no upstream answers and the sidecar finds no app", t.Driver), wayOut)
	}
}

// isOffHost tells whether a task is not on the host network, as far as the job says
// it.
func isOffHost(t *api.Task) bool {
	how, known := ownNetwork[t.Driver]
	if !known {
		return false
	}
	mode := asText(t.Config[how.key])
	for _, shared := range []string{"${", "container:", "task:", "ns:"} { // it says whose
		if strings.Contains(mode, shared) {
			return false
		}
	}
	return how.key == "" || mode != how.value
}

// toLeft tells of ports whose `to` will mean nothing. Docker maps ports of its
// own, and its tasks are told of by themselves.
func (c *checked) toLeft() {
	for _, port := range portsOfGroup(c.after) {
		if port.To <= 0 || port.To == port.Value || isMappedBy(c.after.Tasks, port.Label) {
			continue
		}
		c.find("to-left", Finding{at: "network/port " + port.Label + "/to"},
			fmt.Sprintf("port %q has to = %d, and nothing maps ports on the host network: an app that listens on %d is not where the port says", port.Label, port.To, port.To),
			fmt.Sprintf("let the app listen on ${NOMAD_PORT_%s} and remove to, or set static = %d", envName(port.Label), port.To))
	}
}

// mostWeight is what Consul makes of a greater one for Envoy.
const mostWeight = 128

// weights tells of those that peers do not go by.
func (c *checked) weights() {
	for i, s := range c.before.Services {
		if s.Weights == nil || s.Connect == nil || s.Connect.SidecarService == nil {
			continue
		}
		where := Finding{Service: serviceName(c.job, deref(c.after.Name), c.after.Services[i]), at: "weights"}
		switch most := max(s.Weights.Passing, s.Weights.Warning); {
		case !c.onHost():
			c.find("weights-ignored", where,
				"Nomad's own Connect registers sidecars without weights: all instances are alike to the mesh",
				`remove weights, or set mode = "host", where the sidecar has those of the service`)
		case most > mostWeight:
			c.find("weights-capped", where,
				fmt.Sprintf("the mesh knows weights up to %d, and takes %d for that", mostWeight, most),
				fmt.Sprintf("divide the weights of all instances, so that the greatest is %d", mostWeight))
		}
	}
}
