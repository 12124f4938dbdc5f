package sidecar

import (
	"errors"
	"os"
	"slices"
	"time"

	"nomad-driver-connect/process"
)

// launch starts a generation.
func (s *Sidecar) launch(l *Launch, epoch int) (generation, error) {
	run := s.spec.Run
	var files []*os.File
	defer func() { closeAll(files) }()
	var err error
	open := func(f *os.File, openErr error) {
		err = errors.Join(err, openErr)
		files = append(files, f)
	}
	open(run.OpenDir())
	open(os.Open(os.DevNull))
	open(openLog(run.Root, run.Stdout, run.User))
	open(openLog(run.Root, run.Stderr, run.User))
	own, openErr := l.Open()
	files = append(files, own...)
	if err := errors.Join(err, openErr); err != nil {
		return generation{}, err
	}
	proc, err := process.Start(process.Launch{
		Path:  l.Path,
		Args:  l.Args,
		Env:   run.Env,
		Dir:   files[0],
		Files: files[1:],
		User:  run.User,

		Cgroup:  run.Cgroup,
		Network: run.Network,

		LowPorts:    asksForLowPort(s.place()),
		Confinement: l.Confinement,
	})
	return generation{epoch: epoch, proc: proc, started: time.Now(), version: l.Version, listeners: l.Listeners}, err
}

// asksForLowPort tells whether a field has the program listen on a port that is root's.
func asksForLowPort(at Place) bool {
	return slices.ContainsFunc(append(slices.Clone(at.Ports), at.Public), func(p Port) bool { return p.Number > 0 && p.Number < 1024 })
}
