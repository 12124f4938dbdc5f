package driver

import (
	"fmt"
	"maps"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// proxySpec is what a task is: data, which lies in the task's handle.
type proxySpec struct {
	Life   sidecar.Spec
	Consul consul.Config // without tokens in a handle
	Envoy  envoy.Settings
	roles

	// TokenSource is where the task's ACL token comes from, empty in the handle of a driver
	// that did not note it; Login whether it was given for a workload identity, and is to be
	// given back.
	TokenSource string
	Login       bool
}

// roles are the roles of a proxy: who has it in the mesh, and what runs. At most
// one of each kind is set.
type roles struct {
	// Own is what we register, Nomads what Nomad does; neither is a proxy that
	// Consul knows nothing of.
	Own    *mesh.Registration
	Nomads *mesh.NomadsRegistration

	// External is the path of the bootstrap that somebody else wrote; empty where
	// we render it.
	External string
}

// handleVersion is that of the driver state in a task's handle.
const handleVersion = 3

// taskState is what the driver keeps of a task across restarts of agent and
// plugin. The specification is among it: Nomad gives the job's own config back
// only as long as its agent lives, and what runs must be found again whatever
// the node's config says by then.
type taskState struct {
	Spec  proxySpec // without the tokens
	State sidecar.State
}

// newHandle is what Nomad keeps. It lies on the agent's disk, so the tokens
// stay out, of the environment, too.
func newHandle(task *drivers.TaskConfig, spec proxySpec, state sidecar.State) (*drivers.TaskHandle, error) {
	h := drivers.NewTaskHandle(handleVersion)
	h.Config = task.Copy()
	maps.DeleteFunc(h.Config.Env, func(name, _ string) bool { return isTokenVariable(name) })
	h.State = drivers.TaskStateRunning
	spec.Consul.Token, spec.Consul.AgentToken = "", ""
	spec.Life.Run.Env = nil // it is that of h.Config
	return h, h.SetDriverState(taskState{Spec: spec, State: state})
}

func readHandle(h *drivers.TaskHandle) (taskState, error) {
	var state taskState
	if h.Version != handleVersion {
		return state, fmt.Errorf("its state has version %d, this driver knows %d", h.Version, handleVersion)
	}
	if err := h.GetDriverState(&state); err != nil {
		return state, fmt.Errorf("decode its state: %w", err)
	}
	return state, nil
}
