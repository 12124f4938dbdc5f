package mesh

import (
	"context"

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
func (None) Tell(context.Context, sidecar.Standing) (sidecar.Reply, error) {
	return sidecar.Reply{}, nil
}

// Leave implements sidecar.Member.
func (None) Leave(context.Context) (sidecar.Farewell, error) { return sidecar.Farewell{}, nil }

// The members.
var (
	_ sidecar.Member = (*Own)(nil)
	_ sidecar.Member = (*Nomads)(nil)
	_ sidecar.Member = None{}
)
