package sidecar

import (
	"context"
	"errors"
	"os"
	"time"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
)

// launch starts an Envoy as the specification has it.
func (s *Sidecar) launch(spec Spec, config *os.File, epoch int) (generation, error) {
	files := []*os.File{nil, nil, nil, config}
	var err error
	open := func(f *os.File, openErr error) *os.File {
		err = errors.Join(err, openErr)
		return f
	}
	files[0] = open(os.Open(os.DevNull))
	files[1] = open(openLog(spec.Run.Root, spec.Run.Stdout))
	files[2] = open(openLog(spec.Run.Root, spec.Run.Stderr))
	dir := open(os.Open(spec.Run.Dir))
	if spec.isGiven() {
		files = append(files, open(os.Open(spec.Run.AllocDir)))
	}
	defer func() {
		for _, f := range append(files, dir) {
			if f != config {
				_ = closeFile(f)
			}
		}
	}()
	if err != nil {
		return generation{}, err
	}
	proc, err := process.Start(process.Launch{
		Path:  spec.Envoy.Path,
		Args:  spec.options(epoch).Args(),
		Env:   spec.Run.Env,
		Dir:   dir,
		Files: files,
		User:  spec.Run.User,

		Cgroup:  spec.Run.Cgroup,
		Network: spec.Run.Network,
	})
	return generation{epoch: epoch, proc: proc, started: time.Now(), version: spec.Envoy.Version}, err
}

// options are those of Envoy's command line.
func (s Spec) options(epoch int) envoy.Options {
	return envoy.Options{
		Dir:          s.Run.Dir,
		Epoch:        epoch,
		LogLevel:     s.Envoy.LogLevel,
		Concurrency:  s.Envoy.Concurrency,
		DrainTimeout: s.DrainTimeout,
		Extra:        s.Envoy.Args,
	}
}

// binary is the Envoy that runs, as the user who runs it.
func (s Spec) binary() envoy.Binary { return envoy.Binary{Path: s.Envoy.Path, User: s.Run.User} }

// validate lets Envoy check a bootstrap where and as it will run.
func (s Spec) validate(ctx context.Context, config *os.File) error {
	return s.binary().Validate(ctx, s.Run.Dir, s.Run.Env, config)
}

// sharedMemory is what the generations share.
func (s Spec) sharedMemory() envoy.SharedMemory { return envoy.SharedMemoryOf(s.Run.Dir) }
