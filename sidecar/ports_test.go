package sidecar_test

import (
	"context"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// What is started meanwhile has no part in a port that is only tried out, and holds it for
// nobody who tries it next.
func TestCheckPortFree_forks(t *testing.T) {
	t.Parallel()
	root, err := os.Open("/")
	must.NoError(t, err)
	defer func() { _ = root.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { ended <- struct{}{} }()
			for ctx.Err() == nil {
				p, err := process.Start(process.Launch{Path: "/bin/true", Dir: root})
				if err == nil {
					<-p.Done()
				}
			}
		}()
	}
	port := sidecar.Port{Label: "mesh", Address: ownAddress(), Number: freePort()}
	taken := 0
	for range 2000 {
		if sidecar.CheckPortFree(ctx, "", port, "") != nil {
			taken++
		}
	}
	cancel()
	for range 4 {
		<-ended
	}
	must.Zero(t, taken)
}
