package hook

import (
	"slices"

	"github.com/hashicorp/nomad/api"
)

// localhost is where apps listen behind Nomad's own sidecars, and find their
// upstreams.
const localhost = "127.0.0.1"

// onHost makes the service one of the host network: nothing translates ports
// there, and the allocation has no address of its own.
func (s *service) onHost() error {
	if s.proxy().TransparentProxy != nil {
		return s.refuse("transparent_proxy redirects connections inside of a network namespace, and the host network is everybody's; list the upstreams instead, or use network { mode = \"bridge\" }")
	}
	if err := s.onlySidecar(); err != nil {
		return err
	}
	s.ownPort()
	return s.expose()
}

// proxy is the proxy block, which need not be there.
func (s *service) proxy() *api.ConsulProxy {
	if proxy := proxyOf(s.Service); proxy != nil {
		return proxy
	}
	return &api.ConsulProxy{}
}

// proxyOf is what a service says of its sidecar's proxy; nil when it says nothing.
func proxyOf(s *api.Service) *api.ConsulProxy {
	if s.Connect == nil || s.Connect.SidecarService == nil {
		return nil
	}
	return s.Connect.SidecarService.Proxy
}

// onlySidecar refuses tasks by hand that would be the same sidecar.
func (s *service) onlySidecar() error {
	for _, t := range s.group.Tasks {
		if t.Kind == "connect-proxy:"+s.name {
			return s.refuse("task %q is a sidecar by hand (kind = %q); say in connect { sidecar_task } what it is to be, or remove the connect block and give the task driver = \"connect\"", t.Name, t.Kind)
		}
		if t.Driver == driverName && t.Config["service"] == s.name && t.Config["sidecar_service"] != nil && t.Config["service_port"] == nil {
			return s.refuse("task %q is the service's sidecar already (driver = \"connect\"); remove the connect block, or the task", t.Name)
		}
	}
	return nil
}

// onHost makes services of the group those of the host network, with a sidecar or
// without: the allocation has no address of its own there.
func (g *group) onHost() {
	services := slices.Clone(g.Services)
	for _, t := range g.Tasks {
		services = append(services, t.Services...)
	}
	for _, s := range services {
		if isAllocMode(s.AddressMode) {
			s.AddressMode = "auto"
			g.reserve(g.ports.literal(s.PortLabel), appLabel+labelName(s.Name))
		}
		for i := range s.Checks {
			check := &s.Checks[i]
			if isAllocMode(check.AddressMode) {
				check.AddressMode = ""
				g.reserve(g.ports.literal(check.PortLabel), appLabel+labelName(s.Name))
			}
		}
	}
}

func isAllocMode(mode string) bool { return mode == "alloc" || mode == "alloc_ipv6" }

// appPort is the number that the app listens on when the job says one instead of
// a label.
func (s *service) appPort() int {
	if number := s.proxy().LocalServicePort; number != 0 {
		return number
	}
	return s.group.ports.literal(s.PortLabel)
}

// twins are the other services of that name in the group. Nomad tells them apart
// by their ports.
func (s *service) twins() []*api.Service {
	var twins []*api.Service
	for _, other := range s.group.Services {
		if other != s.Service && s.group.nameOf(other) == s.name {
			twins = append(twins, other)
		}
	}
	return twins
}
