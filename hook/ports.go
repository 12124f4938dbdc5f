package hook

import (
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

// static gives the ports with that number.
func (p ports) static(number int) []api.Port {
	return slices.DeleteFunc(p.all(), func(port api.Port) bool { return port.Value != number })
}

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

// spoken tells whether a service of the group says that something other than an
// upstream listens on the port.
func (p ports) spoken(port api.Port) bool {
	services := slices.Clone(p.group.Services)
	for _, t := range p.group.Tasks {
		services = append(services, t.Services...)
	}
	names := []string{port.Label, strconv.Itoa(port.Value)}
	return slices.ContainsFunc(services, func(s *api.Service) bool {
		return slices.ContainsFunc(portsOf(s), func(name string) bool { return slices.Contains(names, name) })
	})
}

// portsOf are the labels and numbers of ports that a service speaks of.
func portsOf(s *api.Service) []string {
	named := []string{s.PortLabel}
	for _, check := range s.Checks {
		named = append(named, check.PortLabel)
	}
	if s.Connect == nil || s.Connect.SidecarService == nil {
		return named
	}
	named = append(named, s.Connect.SidecarService.Port)
	if proxy := s.Connect.SidecarService.Proxy; proxy != nil {
		named = append(named, strconv.Itoa(proxy.LocalServicePort))
	}
	for _, path := range exposedPaths(s.Connect.SidecarService.Proxy) {
		named = append(named, path.ListenerPort, strconv.Itoa(path.LocalPathPort))
	}
	return named
}
