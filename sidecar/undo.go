package sidecar

import (
	"context"
	"errors"
)

// undo is what takes back the steps that were done, last first. Each entry
// must be safe to run when its work is done already.
type undo []func(context.Context) error

func (u *undo) push(f func(context.Context) error) { *u = append(*u, f) }

// run takes everything back, whatever fails on the way.
func (u *undo) run(ctx context.Context) error {
	var errs []error
	for i := len(*u) - 1; i >= 0; i-- {
		errs = append(errs, (*u)[i](ctx))
	}
	*u = nil
	return errors.Join(errs...)
}
