package hook

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/nomad/api"
)

// ports are those of the group's only network block. Static ones and dynamic
// ones are kept apart by Nomad; a number makes the difference.
type ports struct {
	group   *api.TaskGroup
	network *api.NetworkResource
}

// get gives the port with a label.
func (p ports) get(label string) (api.Port, bool) {
	for _, port := range p.all() {
		if port.Label == label {
			return port, true
		}
	}
	return api.Port{}, false
}

// literal is the number that a port is when it is no label.
func (p ports) literal(port string) int {
	if _, isLabel := p.get(port); isLabel {
		return 0
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return int(number)
}

// static gives the ports with that number.
func (p ports) static(number int) []api.Port {
	return slices.DeleteFunc(p.all(), func(port api.Port) bool { return port.Value != number })
}

// to gives the label of the port that is mapped to a number.
func (p ports) to(number int) (string, bool) {
	for _, port := range p.all() {
		if port.To == number {
			return port.Label, true
		}
	}
	return "", false
}

// collisions are the static ports that another of the number would meet, on the
// port's host network.
func (p ports) collisions(port api.Port, number int) []api.Port {
	return slices.DeleteFunc(p.static(number), func(other api.Port) bool {
		return other.Label == port.Label || hostNetworkOf(other) != hostNetworkOf(port)
	})
}

// hostNetworkOf is the host network that a port is on.
func hostNetworkOf(port api.Port) string { return cmp.Or(port.HostNetwork, "default") }

// isReserved tells whether one instance on a node can have the port.
func isReserved(port api.Port) bool { return port.Value != 0 && !port.IgnoreCollision }

// What the labels of ports begin with that this hook gives for numbers of the job.
const (
	appLabel      = "connect-service-"
	upstreamLabel = "connect_upstream_"
)

func (p ports) all() []api.Port {
	return slices.Concat(p.network.ReservedPorts, p.network.DynamicPorts)
}

func (p ports) add(port api.Port) {
	list := &p.network.DynamicPorts
	if port.Value > 0 {
		list = &p.network.ReservedPorts
	}
	*list = append(*list, port)
}

// replace puts a port in the place of the one with its label.
func (p ports) replace(port api.Port) {
	for _, list := range []*[]api.Port{&p.network.ReservedPorts, &p.network.DynamicPorts} {
		i := slices.IndexFunc(*list, func(other api.Port) bool { return other.Label == port.Label })
		if i < 0 {
			continue
		}
		if isStatic := list == &p.network.ReservedPorts; isStatic == (port.Value > 0) {
			(*list)[i] = port
			return
		}
		if *list = slices.Delete(*list, i, i+1); len(*list) == 0 {
			*list = nil
		}
		break
	}
	p.add(port)
}

// free gives a label that nothing in the group has, not even as part of the name
// of a variable, in which - is _.
func (p ports) free(label string) string {
	labels := map[string]bool{}
	for _, port := range p.all() {
		labels[envName(port.Label)] = true
	}
	for _, t := range p.group.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, network := range t.Resources.Networks {
			for _, port := range slices.Concat(network.ReservedPorts, network.DynamicPorts) {
				labels[envName(port.Label)] = true
			}
		}
	}
	return unique(label, func(candidate string) bool { return labels[envName(candidate)] })
}

// speaker is who of the group's services and checks says that something other than
// an upstream listens on the port; empty for nobody.
func (p ports) speaker(port api.Port) string {
	names := []string{port.Label}
	if port.Value > 0 {
		names = append(names, strconv.Itoa(port.Value))
	}
	services := slices.Clone(p.group.Services)
	for _, t := range p.group.Tasks {
		services = append(services, t.Services...)
	}
	for _, s := range services {
		for _, named := range portsOf(s) {
			if slices.Contains(names, named.port) {
				return named.who
			}
		}
	}
	return ""
}

// speech is who speaks of a port, and how it is called there.
type speech struct{ who, port string }

// portsOf are the labels and numbers of ports that a service speaks of.
func portsOf(s *api.Service) []speech {
	who := fmt.Sprintf("service %q", s.Name)
	said := []speech{{who, s.PortLabel}}
	for _, check := range s.Checks {
		said = append(said, speech{fmt.Sprintf("the check %q of %s", check.Name, who), check.PortLabel})
	}
	if s.Connect == nil || s.Connect.SidecarService == nil {
		return said
	}
	said = append(said, speech{"the sidecar of " + who, s.Connect.SidecarService.Port})
	proxy := proxyOf(s)
	if proxy != nil {
		said = append(said, speech{who, strconv.Itoa(proxy.LocalServicePort)})
	}
	for _, path := range exposedPaths(proxy) {
		at := fmt.Sprintf("the exposed path %q of %s", path.Path, who)
		said = append(said, speech{at, path.ListenerPort}, speech{at, strconv.Itoa(path.LocalPathPort)})
	}
	return said
}
