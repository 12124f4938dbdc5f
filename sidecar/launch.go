package sidecar

import (
	"errors"
	"os"
	"time"

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
		Args:  envoyArgs(spec, epoch),
		Env:   spec.Run.Env,
		Dir:   dir,
		Files: files,
		User:  spec.Run.User,

		Cgroup:  spec.Run.Cgroup,
		Network: spec.Run.Network,
	})
	return generation{epoch: epoch, proc: proc, started: time.Now(), version: spec.Envoy.Version}, err
}
