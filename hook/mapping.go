package hook

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/nomad/api"
)

// unmap does away with the `to` of every port, since nothing translates ports on
// the host network. The app goes on listening there: that becomes the static port.
// Where only the sidecar listens, any port will do.
func (g *group) unmap() error {
	var errs []error
	for _, port := range g.ports.all() {
		if port.To == 0 || g.isMapped(port.Label) {
			continue
		}
		unmapped, err := g.unmapped(port)
		if err == nil {
			g.ports.replace(unmapped)
		} else if who := g.ports.speaker(port); who != "" {
			errs = append(errs, g.refuse("%s is on port %q, and %w", who, port.Label, err))
		}
	}
	return errors.Join(errs...)
}

// isMapped tells whether a container that is not on the host network has the port
// mapped by its own driver. Where the sidecar is to find the app that does not help.
func (g *group) isMapped(label string) bool {
	isApps := func(s *service) bool { return s.PortLabel == label }
	return isMappedBy(g.Tasks, label) && !slices.ContainsFunc(g.services, isApps)
}

// isMappedBy tells whether one of the tasks is a container whose own driver maps the port.
func isMappedBy(tasks []*api.Task, label string) bool {
	return slices.ContainsFunc(tasks, func(t *api.Task) bool {
		return isOffHost(t) && slices.Contains(texts(t.Config["ports"]), label)
	})
}

// unmapped is the port as it is on the host network. An error says why nothing is
// there for those who come in at the port.
func (g *group) unmapped(port api.Port) (api.Port, error) {
	to, upstream := port.To, g.isUpstream(port.To)
	port.To = 0
	switch taken := g.ports.collisions(port, to); {
	case to < 0 || to == port.Value || g.isSidecars(port.Label):
	case upstream && g.options.DynamicPorts:
	case port.Value > 0:
		return port, fmt.Errorf("port %q is static = %d and to = %d, and nothing maps ports on the host network; let the app listen on %d, and remove to", port.Label, port.Value, to, port.Value)
	case len(taken) > 0:
		return port, fmt.Errorf("the app listens on %d (to of port %q), but that is the static port %q already; give one of them another number, or one name to both", to, port.Label, taken[0].Label)
	default:
		port.Value = to
	}
	if upstream {
		g.upstreamLabels[to] = port.Label
	}
	return port, nil
}

// isSidecars tells whether it is a sidecar that listens on the port.
func (g *group) isSidecars(label string) bool {
	for _, s := range g.services {
		if s.Connect.SidecarService.Port == label {
			return true
		}
		for _, path := range s.paths {
			if path.listener == label {
				return true
			}
		}
	}
	return false
}

// isUpstream tells whether apps find an upstream at that number.
func (g *group) isUpstream(number int) bool {
	for _, s := range g.services {
		for _, u := range s.proxy().Upstreams {
			if u.LocalBindPort == number && u.LocalBindSocketPath == "" {
				return true
			}
		}
	}
	return false
}

// reserve tells the scheduler of a number that the app listens on.
func (s *service) reserve() error {
	numbers := []int{s.appPort()}
	for _, path := range s.paths {
		numbers = append(numbers, path.number)
	}
	for _, number := range numbers {
		s.group.reserve(number, appLabel+s.name)
	}
	return nil
}

// reserve makes a static port of the number unless the group has one.
func (g *group) reserve(number int, label string) {
	if number > 0 && len(g.ports.static(number)) == 0 {
		g.ports.add(api.Port{Label: g.ports.free(label), Value: number})
	}
}
