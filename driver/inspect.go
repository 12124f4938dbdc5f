package driver

import (
	"strconv"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// InspectTask implements drivers.DriverPlugin.
func (p *Plugin) InspectTask(id string) (*drivers.TaskStatus, error) {
	t, err := p.tasks.get(id)
	if err != nil {
		return nil, err
	}
	s := t.sidecar.Status()
	status := &drivers.TaskStatus{
		ID:        id,
		Name:      t.config.Name,
		State:     drivers.TaskStateRunning,
		StartedAt: s.StartedAt,
		DriverAttributes: map[string]string{
			"phase":         string(s.Phase),
			"proxy_id":      s.Place.ID,
			"listener":      s.Place.Public.HostPort(),
			"envoy_version": s.Version,
			"pid":           strconv.Itoa(s.Process.PID),
			"hot_restarts":  strconv.Itoa(s.Epoch),
		},
	}
	if s.Phase == sidecar.Exited {
		status.State = drivers.TaskStateExited
		status.CompletedAt = s.Exit.At
		status.ExitResult = exitResult(s.Exit, s.Failure)
	}
	return status, nil
}
