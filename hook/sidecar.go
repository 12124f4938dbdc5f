package hook

import (
	"time"

	"github.com/hashicorp/nomad/api"
)

// driverName is what jobs call this project's driver.
const driverName = "connect"

// The size of Nomad's own sidecars and gateways.
const (
	sidecarCPU      = 250
	sidecarMemoryMB = 128
	sidecarLogs     = 2 // files, and MB of each
)

// addTask adds the sidecar's task, and the port of its public listener.
func (s *service) addTask() error {
	base := "connect-proxy-" + s.name
	taken := func(name string) bool {
		for _, t := range s.group.Tasks {
			if t.Name == name {
				return true
			}
		}
		return false
	}
	name := base
	if taken(base) && s.PortLabel != "" {
		name = base + "-" + labelName(s.PortLabel)
	}
	s.task = newTask(unique(name, taken), s.name)
	if err := s.publicPort(); err != nil {
		return err
	}
	if err := s.override(s.Connect.SidecarTask); err != nil {
		return err
	}
	s.group.Tasks = append(s.group.Tasks, s.task)
	return nil
}

// newTask is a sidecar's task as it is without any word of the job's author. Its
// size is that of Nomad's own.
func newTask(name, service string) *api.Task {
	return &api.Task{
		Name:   name,
		Driver: driverName,
		Kind:   "connect-native:" + service, // with ACLs, Nomad gives the service's token to such a task
		Config: map[string]any{},
		Lifecycle: &api.TaskLifecycle{
			Hook:    api.TaskLifecycleHookPrestart,
			Sidecar: true,
		},
		Constraints: []*api.Constraint{
			api.NewConstraint("${attr.driver.connect.envoy.version}", "is_set", ""),
			api.NewConstraint("${attr.driver.connect.consul.version}", "is_set", ""),
		},
		Resources:   &api.Resources{CPU: pointer(sidecarCPU), MemoryMB: pointer(sidecarMemoryMB)},
		LogConfig:   &api.LogConfig{MaxFiles: pointer(sidecarLogs), MaxFileSizeMB: pointer(sidecarLogs)},
		KillTimeout: pointer(10 * time.Second), // to drain
	}
}

// ownPort takes a port of the group that the job calls as Nomad calls that of the
// sidecar.
func (s *service) ownPort() {
	sidecar, own := s.Connect.SidecarService, "connect-proxy-"+s.name
	if _, ok := s.group.ports.get(own); !ok || sidecar.Port != "" {
		return
	}
	for _, other := range s.group.services {
		if other.Connect.SidecarService.Port == own || other != s && other.PortLabel == own {
			return
		}
	}
	sidecar.Port = own
}

// publicPort makes sure of the port that the mesh comes in at. The connect block
// names a label that need not be there, as under Nomad's own Connect.
func (s *service) publicPort() error {
	sidecar := s.Connect.SidecarService
	if sidecar.Port == "" {
		sidecar.Port = s.group.ports.free(s.task.Name)
	}
	if sidecar.Port == s.PortLabel {
		return s.refuse("the service and its sidecar are both on port %q; give sidecar_service a port of its own, or leave its port out", s.PortLabel)
	}
	for _, other := range s.group.services {
		if other != s && other.Connect.SidecarService.Port == sidecar.Port {
			return s.refuse("its sidecar is on port %q, and so is that of %q; give each a port of its own, or leave sidecar_service.port out", sidecar.Port, other.name)
		}
	}
	if _, ok := s.group.ports.get(sidecar.Port); !ok {
		s.group.ports.add(api.Port{Label: sidecar.Port})
	}
	return nil
}
