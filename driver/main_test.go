package driver

import (
	"io"
	"os"
	"testing"

	"github.com/hashicorp/go-hclog"

	"nomad-driver-connect/fake"
)

// TestMain lets this very binary be an Envoy.
func TestMain(m *testing.M) {
	fake.RunAsEnvoy()
	hclog.DefaultOutput = io.Discard // go-plugin tells every connection
	os.Exit(m.Run())
}
