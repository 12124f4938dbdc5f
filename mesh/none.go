package mesh

import (
	"context"
	"time"

	"nomad-driver-connect/sidecar"
)

// None is the member of a proxy that Consul knows nothing of.
type None struct{}

// Join implements sidecar.Member.
func (None) Join(context.Context) (sidecar.Place, error) { return sidecar.Place{}, nil }

// Rejoin implements sidecar.Member.
func (None) Rejoin(sidecar.Place) {}

// News implements sidecar.Member.
func (None) News() <-chan struct{} { return nil }

// Look implements sidecar.Member.
func (None) Look(context.Context) (sidecar.Finding, error) { return sidecar.Finding{}, nil }

// Tell implements sidecar.Member.
func (None) Tell(context.Context, sidecar.Standing) (time.Duration, error) { return 0, nil }

// Leave implements sidecar.Member.
func (None) Leave(context.Context) (sidecar.Farewell, error) { return sidecar.Farewell{}, nil }

// The members.
var (
	_ sidecar.Member = (*Own)(nil)
	_ sidecar.Member = (*Nomads)(nil)
	_ sidecar.Member = None{}
)
