package driver

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/sidecar"
)

// StopTask implements drivers.DriverPlugin.
func (p *Plugin) StopTask(id string, timeout time.Duration, signal string) error {
	t, err := p.tasks.get(id)
	if err != nil {
		return err
	}
	if signal == "" {
		signal = "SIGTERM"
	}
	sig, err := parseSignal(signal)
	if err != nil {
		return err
	}
	t.sidecar.Stop(sig, timeout)
	return nil
}

// DestroyTask implements drivers.DriverPlugin.
func (p *Plugin) DestroyTask(id string, force bool) error {
	t, err := p.tasks.get(id)
	if err != nil {
		return err
	}
	if t.sidecar.Status().Phase != sidecar.Exited && !force {
		return fmt.Errorf("task %s is running; destroying it needs force", id)
	}
	if err := t.destroy(p.ctx); err != nil {
		p.log.Error("something is left behind of a destroyed task, will try again", "task_id", id, "error", err)
		p.tasks.leave(p.ctx, t)
	}
	p.tasks.remove(id)
	return nil
}

// SignalTask implements drivers.DriverPlugin.
func (p *Plugin) SignalTask(id, signal string) error {
	t, err := p.tasks.get(id)
	if err != nil {
		return err
	}
	sig, err := parseSignal(signal)
	if err != nil {
		return err
	}
	if err := t.sidecar.Signal(sig); errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s: Envoy has exited", signal)
	} else if err != nil {
		return fmt.Errorf("send %s to Envoy: %w", signal, err)
	}
	return nil
}

// parseSignal takes "SIGHUP", "HUP" or "hup".
func parseSignal(name string) (syscall.Signal, error) {
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is not a signal", name)
}
