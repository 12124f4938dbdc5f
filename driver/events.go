package driver

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// TaskEvents implements drivers.DriverPlugin.
func (p *Plugin) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return p.events.TaskEvents(ctx)
}

// emitter tells the story of a task in `nomad alloc status`.
func (p *Plugin) emitter(config *drivers.TaskConfig) sidecar.Emit {
	return func(sentence string) {
		p.log.Info(sentence, "alloc_id", config.AllocID, "task", config.Name)
		err := p.events.EmitEvent(&drivers.TaskEvent{
			TaskID:    config.ID,
			TaskName:  config.Name,
			AllocID:   config.AllocID,
			Timestamp: time.Now(),
			Message:   sentence,
		})
		if err != nil {
			p.log.Warn("could not send a task event", "task_id", config.ID, "error", err)
		}
	}
}
