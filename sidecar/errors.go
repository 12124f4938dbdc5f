package sidecar

import "fmt"

// InvalidError is a mistake in what the user wrote: trying again cannot help.
// Every other error of this package is trouble with the world.
type InvalidError struct {
	Field  string // as the user writes it: "sidecar_service.port"
	Reason string // what was found and what is allowed
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// Invalidf makes an InvalidError.
func Invalidf(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
