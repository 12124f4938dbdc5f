package hook

import (
	"maps"

	"github.com/hashicorp/nomad/api"
)

// dropIn makes this driver the one that runs a gateway. Nomad takes gateways on
// the host network as they are, and tells Consul of them; the block stays, and
// only the driver of its task changes.
func (s *service) dropIn() error {
	if s.Connect.SidecarTask == nil {
		s.Connect.SidecarTask = gatewayTask()
	}
	task := s.Connect.SidecarTask
	if task.Driver == driverName && len(task.Config) > 0 {
		return nil
	}
	config, err := s.ownConfig(task)
	if err != nil {
		return err
	}
	task.Driver = driverName
	task.Config = maps.Clone(config)
	if task.Config == nil {
		task.Config = map[string]any{}
	}
	// Nomad loses an empty config, and an empty block would not be seen in a diff.
	task.Config["bootstrap"] = map[string]any{"path": "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json"}
	return nil
}

// gatewayTask is what Nomad makes of a gateway of which the job says no
// sidecar_task: to one that it says, however short, Nomad gives the size of any task.
func gatewayTask() *api.SidecarTask {
	return &api.SidecarTask{
		Resources: &api.Resources{CPU: pointer(sidecarCPU), MemoryMB: pointer(sidecarMemoryMB)},
		LogConfig: &api.LogConfig{MaxFiles: pointer(sidecarLogs), MaxFileSizeMB: pointer(sidecarLogs)},
	}
}
