package driver

import (
	"errors"

	"nomad-driver-connect/sidecar"
)

// startError decides what Nomad does next: a mistake in the job is final,
// trouble with the world is retried by the task's restart policy. Nomad asks
// the outermost error only.
type startError struct {
	err         error
	recoverable bool
}

func newStartError(err error) error {
	var invalid *sidecar.InvalidError
	return &startError{err: err, recoverable: !errors.As(err, &invalid)}
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// IsRecoverable implements Nomad's structs.Recoverable.
func (e *startError) IsRecoverable() bool { return e.recoverable }
