package sidecar

import (
	"context"

	"nomad-driver-connect/pace"
)

// filesResult is what came of a look at the node's files.
type filesResult struct {
	changed bool
	err     error
}

// lookAtFiles does so beside: a job's file may never answer.
func (s *supervisor) lookAtFiles() {
	s.files = make(chan filesResult, 1)
	result := s.files
	go func() {
		changed, err := s.Changed()
		result <- filesResult{changed, err}
	}()
}

// lookedAtFiles takes up what has changed: a new token must be known to the mesh
// before the program is started with it.
func (s *supervisor) lookedAtFiles(ctx context.Context, result filesResult) {
	s.files = nil
	s.clocks.files.Reset(pace.Beat(s.Timing.Files))
	s.reading.note(s.Sidecar, result.err, "read what it is started with")
	if result.changed {
		s.look(ctx)
		s.restarts.soon(0)
	}
}
