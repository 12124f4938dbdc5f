package driver

import (
	"context"
	"errors"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
)

// WaitTask implements drivers.DriverPlugin. Any number of callers may wait.
func (p *Plugin) WaitTask(ctx context.Context, id string) (<-chan *drivers.ExitResult, error) {
	t, err := p.tasks.get(id)
	if err != nil {
		return nil, err
	}
	result := make(chan *drivers.ExitResult, 1)
	go func() {
		defer close(result)
		select {
		case <-t.sidecar.Done():
			status := t.sidecar.Status()
			result <- exitResult(status.Exit, status.Failure)
		case <-ctx.Done():
			result <- &drivers.ExitResult{Err: ctx.Err()}
		}
	}()
	return result, nil
}

// exitResult is what Nomad hears of an end. failure is why the driver has ended what could
// have gone on; empty when it has not.
func exitResult(exit process.Exit, failure string) *drivers.ExitResult {
	result := &drivers.ExitResult{ExitCode: exit.Code, Signal: int(exit.Signal)}
	if exit.OOMKilled {
		result.OOMKilled = true
		result.Err = errors.New("Envoy " + exit.String())
	} else if exit.Unobserved {
		result.Err = errors.New("Envoy " + exit.String())
	} else if failure != "" {
		result.Err = errors.New(failure)
	}
	return result
}
