package driver

import (
	"maps"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// handleVersion is that of the driver state in a task's handle.
const handleVersion = 1

// handle is what Nomad keeps of a task across restarts of agent and plugin.
// It lies on the agent's disk, so the tokens in the environment stay out.
func handle(task *drivers.TaskConfig, state sidecar.State) (*drivers.TaskHandle, error) {
	h := drivers.NewTaskHandle(handleVersion)
	h.Config = task.Copy()
	maps.DeleteFunc(h.Config.Env, func(name, _ string) bool { return isTokenVariable(name) })
	h.State = drivers.TaskStateRunning
	return h, h.SetDriverState(state)
}
