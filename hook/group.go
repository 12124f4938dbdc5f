package hook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// group is a group of the job while it is rewritten.
type group struct {
	*api.TaskGroup
	job      *api.Job
	options  Options
	ports    ports
	services []*service // those with a sidecar
	bindings []*binding // where apps find upstreams
	warnings []Finding

	moved          map[int]string  // numbers of Envoy's own listeners: the variables of the ports that they are on now
	upstreamLabels map[int]string  // numbers of upstreams: the ports of the group that were mapped to them
	words          map[string]bool // numbers that the group speaks of
	jobWords       func() map[string]bool
	names          map[*api.Service]string // in Consul
}

// service is a service with a sidecar. Its connect block is there until all of
// the group is done.
type service struct {
	*api.Service
	group *group
	name  string // as Consul has it
	task  *api.Task
	paths exposedPathList
	err   error // why it cannot be on the host network
}

func (g *group) name() string { return deref(g.Name) }

// nameOf is the name that a service of the group has in Consul.
func (g *group) nameOf(s *api.Service) string {
	name, ok := g.names[s]
	if !ok {
		name = serviceName(g.job, g.name(), s)
		g.names[s] = name
	}
	return name
}

func (g *group) refuse(format string, args ...any) error {
	return &refusal{group: g.name(), err: fmt.Errorf(format, args...)}
}

func (s *service) refuse(format string, args ...any) error {
	return &refusal{group: s.group.name(), service: s.name, err: fmt.Errorf(format, args...)}
}

func (s *service) warn(code, problem, wayOut string) {
	s.group.warnings = append(s.group.warnings, Finding{Code: code, Group: s.group.name(), Service: s.name, Problem: problem, WayOut: wayOut, at: "connect"})
}

// rewrite changes the group when it is on the host network and has sidecars or
// gateways of Nomad's Connect.
func (g *group) rewrite() error {
	if err := g.kindsWithoutNetwork(); err != nil {
		return err
	}
	if !g.usesConnect() {
		return nil
	}
	if host, err := g.onHostNetwork(); err != nil || !host {
		return err
	}
	var errs []error
	for _, s := range g.Services {
		if s.Connect == nil {
			continue
		}
		found, err := g.find(s)
		errs = append(errs, err)
		switch {
		case err != nil:
		case s.Connect.SidecarService != nil:
			g.services = append(g.services, found)
		case s.Connect.Gateway != nil:
			errs = append(errs, found.dropIn())
		}
	}
	if len(g.services) > 0 { // Nomad takes gateways on the host network as they are
		errs = append(errs, g.place())
		g.onePerNode()
	}
	g.tellApps()
	for _, s := range g.services {
		s.Connect = nil
	}
	return errors.Join(errs...)
}

// place finds a port for everything that listens. Names and numbers that the job
// has go before those made up here.
func (g *group) place() error {
	errs := []error{g.each((*service).onHost), g.each((*service).moveListeners), g.unmap()}
	g.onHost()
	return errors.Join(append(errs, g.each((*service).reserve), g.each((*service).addTask), g.each((*service).configure))...)
}

// each takes a step with all services that have come so far.
func (g *group) each(step func(*service) error) error {
	var errs []error
	for _, s := range g.services {
		if s.err == nil {
			s.err = step(s)
			errs = append(errs, s.err)
		}
	}
	return errors.Join(errs...)
}

// kindsWithoutNetwork refuses what ends the whole Nomad client: it looks for the
// network of such a task, and there is none (seen in 1.10 to 2.0).
func (g *group) kindsWithoutNetwork() error {
	if len(g.Networks) > 0 {
		return nil
	}
	for _, t := range g.Tasks {
		if strings.HasPrefix(t.Kind, "connect-") {
			return g.refuse("task %q has kind = %q, and the group no network block: Nomad's client crashes on that; add network { mode = \"host\" }", t.Name, t.Kind)
		}
	}
	return nil
}

// usesConnect tells whether the group has anything that this hook is for. Native
// services have no proxy, and Nomad takes them on any network.
func (g *group) usesConnect() bool {
	for _, s := range g.Services {
		if s.Connect != nil && (s.Connect.SidecarService != nil || s.Connect.Gateway != nil) {
			return true
		}
	}
	return false
}

// onHostNetwork tells whether the group is on the host network, and gives it the
// network block that its ports need. Nomad's own Connect does bridge and cni.
func (g *group) onHostNetwork() (bool, error) {
	if len(g.Networks) == 0 {
		g.Networks = []*api.NetworkResource{{Mode: "host"}}
	}
	host := 0
	for _, network := range g.Networks {
		switch network.Mode {
		case "", "host":
			host++
		case "none":
			return false, g.refuse("the group has no network (mode = \"none\"), and Connect is nothing without one; set network { mode = \"host\" }")
		}
	}
	if host == 0 {
		return false, nil
	}
	if len(g.Networks) > 1 {
		return false, g.refuse("the group has %d network blocks, and with Connect it can have one; put the ports into one block", len(g.Networks))
	}
	g.Networks[0].Mode = "host"
	g.ports = ports{group: g.TaskGroup, network: g.Networks[0]}
	g.moved, g.upstreamLabels = map[int]string{}, map[int]string{}
	return true, nil
}

// find checks what holds for all that have a connect block.
func (g *group) find(s *api.Service) (*service, error) {
	found := &service{Service: s, group: g, name: g.nameOf(s)}
	c := s.Connect
	if c.SidecarService == nil && c.Gateway == nil {
		return found, nil
	}
	if c.Native || c.SidecarService != nil && c.Gateway != nil {
		return nil, found.refuse("connect has more than one of native, sidecar_service and gateway; leave one")
	}
	if err := checkName(found.name); err != nil {
		return nil, found.refuse("%w", err)
	}
	if s.Provider != "" && s.Provider != api.ServiceProviderConsul {
		return nil, found.refuse("provider = %q has no mesh; set provider = \"consul\", or remove the connect block", s.Provider)
	}
	if s.Name != "" && c.SidecarService != nil {
		s.Name = found.name // Nomad finds the sidecar's token by it
	}
	return found, nil
}
