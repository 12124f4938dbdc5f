package hook

import (
	"strconv"

	"github.com/hashicorp/nomad/api"
)

// localhost is where apps listen behind Nomad's own sidecars, and find their
// upstreams.
const localhost = "127.0.0.1"

// onHost makes the service one of the host network: nothing translates ports
// there, and the allocation has no address of its own.
func (s *service) onHost() error {
	if s.hasTransparentProxy() {
		return s.refuse("transparent_proxy redirects connections inside of a network namespace, and the host network is everybody's; list the upstreams instead, or use network { mode = \"bridge\" }")
	}
	if err := s.onlySidecar(); err != nil {
		return err
	}
	if isAllocMode(s.AddressMode) {
		s.AddressMode = "auto"
	}
	for i := range s.Checks {
		check := &s.Checks[i]
		if isAllocMode(check.AddressMode) {
			check.AddressMode = ""
		}
		if check.Expose { // its port is that of a listener in the proxy
			check.Expose, check.PortLabel = false, ""
		}
	}
	if err := s.mapNothing(); err != nil {
		return err
	}
	if number := s.appPort(); number > 0 && len(s.group.ports.static(number)) == 0 {
		s.group.ports.add(api.Port{Label: s.group.ports.free("connect-service-" + s.name), Value: number})
	}
	return nil
}

func (s *service) hasTransparentProxy() bool {
	proxy := s.Connect.SidecarService.Proxy
	return proxy != nil && proxy.TransparentProxy != nil
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

func isAllocMode(mode string) bool { return mode == "alloc" || mode == "alloc_ipv6" }

// mapNothing does away with the port's `to`: the app goes on listening there.
func (s *service) mapNothing() error {
	port, ok := s.group.ports.get(s.PortLabel)
	if !ok || port.To == 0 {
		return nil
	}
	switch to := port.To; {
	case to < 0 || to == port.Value:
	case port.Value > 0:
		return s.refuse("port %q is static = %d and to = %d, and nothing maps ports on the host network; let the app listen on %d, and remove to", port.Label, port.Value, to, port.Value)
	default:
		if others := s.group.ports.static(to); len(others) > 0 {
			return s.refuse("the app listens on %d (to of port %q), but that is the static port %q already; give one of them another number", to, port.Label, others[0].Label)
		}
		port.Value = to
	}
	port.To = 0
	s.group.ports.replace(port)
	return nil
}

// appPort is the number that the app listens on when the job says one instead of
// a label.
func (s *service) appPort() int {
	if proxy := s.Connect.SidecarService.Proxy; proxy != nil && proxy.LocalServicePort != 0 {
		return proxy.LocalServicePort
	}
	return s.literalPort()
}

// literalPort is service.port when it is a number.
func (s *service) literalPort() int {
	if _, isLabel := s.group.ports.get(s.PortLabel); isLabel {
		return 0
	}
	number, err := strconv.ParseUint(s.PortLabel, 10, 16)
	if err != nil {
		return 0
	}
	return int(number)
}

// twins are the other services of that name in the group. Nomad tells them apart
// by their ports.
func (s *service) twins() []*api.Service {
	var twins []*api.Service
	for _, other := range s.group.Services {
		if other != s.Service && serviceName(s.group.job, s.group.name(), other) == s.name {
			twins = append(twins, other)
		}
	}
	return twins
}
