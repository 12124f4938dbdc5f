package sidecar_test

import (
	"context"
	"os"
	"path/filepath"

	"nomad-driver-connect/sidecar"
)

// remembering notes which memory the generations of a program share.
type remembering struct {
	sidecar.Program
	b *bench
}

func (r remembering) Prepare(ctx context.Context) error {
	err := r.Program.Prepare(ctx)
	if memory, linkErr := os.Readlink(filepath.Join(r.b.life.Run.Dir, "shared_memory")); linkErr == nil {
		r.b.mu.Lock()
		defer r.b.mu.Unlock()
		r.b.memory = append(r.b.memory, memory)
	}
	return err
}

// silentProgram does not tell whether it is alive, as one that hangs.
type silentProgram struct {
	sidecar.Program
	asked chan<- struct{}
}

func (p silentProgram) Control() sidecar.Control { return silentControl{p.Program.Control(), p.asked} }

type silentControl struct {
	sidecar.Control
	asked chan<- struct{}
}

func (c silentControl) Alive(ctx context.Context) error {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return ctx.Err()
}

// lateProgram does not tell how far a hot restart has come.
type lateProgram struct{ sidecar.Program }

func (p lateProgram) Control() sidecar.Control { return lateControl{p.Program.Control()} }

type lateControl struct{ sidecar.Control }

func (c lateControl) Progress(ctx context.Context, epoch int) (sidecar.Progress, error) {
	if epoch == 0 {
		return c.Control.Progress(ctx, epoch)
	}
	<-ctx.Done()
	return sidecar.Progress{}, ctx.Err()
}
