package driver

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// ports are the ports of the task's group, by label.
type ports struct {
	group   string
	byLabel map[string]sidecar.Port
}

func groupPorts(task *drivers.TaskConfig) ports {
	p := ports{group: task.TaskGroupName, byLabel: map[string]sidecar.Port{}}
	if task.Resources == nil || task.Resources.Ports == nil {
		return p
	}
	for _, mapping := range *task.Resources.Ports {
		p.byLabel[mapping.Label] = sidecar.Port{Label: mapping.Label, Address: mapping.HostIP, Number: mapping.Value}
	}
	return p
}

// get finds a port by its label; field is where the user wrote the label.
func (p ports) get(field, label string) (sidecar.Port, error) {
	if port, ok := p.byLabel[label]; ok {
		return port, nil
	}
	labels := "it has no ports"
	if len(p.byLabel) > 0 {
		labels = "it has: " + strings.Join(slices.Sorted(maps.Keys(p.byLabel)), ", ")
	}
	if label == "" {
		return sidecar.Port{}, sidecar.Invalidf(field, "is missing; it is the label of a port in the network block of group %q (%s)", p.group, labels)
	}
	return sidecar.Port{}, sidecar.Invalidf(field, "%q is not the label of a port in the network block of group %q (%s)", label, p.group, labels)
}

// portInRange checks a port that the user gave as a number.
func portInRange(field string, number int) error {
	if number < 1 || number > 65535 {
		return sidecar.Invalidf(field, "%d is not a port; it is a number from 1 to 65535", number)
	}
	return nil
}

func oneOf(field, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return sidecar.Invalidf(field, "%q is unknown; it is one of %s", value, strings.Join(allowed, ", "))
}

func ipAddress(field, value string) error {
	if value == "" {
		return nil
	}
	if _, err := netip.ParseAddr(value); err != nil {
		return sidecar.Invalidf(field, "%q is not an IP address", value)
	}
	return nil
}
