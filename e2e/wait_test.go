package e2e

import (
	"context"
	"testing"
	"time"

	"nomad-driver-connect/e2e/agents"
)

// eventually waits for a condition and fails the test with its last complaint.
func eventually(t testing.TB, limit time.Duration, condition func(context.Context) error) {
	t.Helper()
	if err := agents.Within(t.Context(), limit, condition); err != nil {
		t.Fatal(err)
	}
}

// downFor lets time pass while something is down: that is what is done to the mesh.
// Tests wait for nothing else by the clock.
func downFor(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(context.Cause(t.Context()))
	}
}
