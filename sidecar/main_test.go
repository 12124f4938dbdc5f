package sidecar_test

import (
	"flag"
	"os"
	"testing"

	"nomad-driver-connect/fake"
)

// TestMain lets this very binary be an Envoy. Tests wait far more than they compute,
// so that many of them run at the same time.
func TestMain(m *testing.M) {
	fake.RunAsEnvoy()
	flag.Parse()
	_ = flag.Set("test.parallel", "20")
	os.Exit(m.Run())
}
