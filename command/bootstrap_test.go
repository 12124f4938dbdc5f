package command

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/parity"
)

// TestBootstrap_golden runs every case on what real agents answered to it. The
// end-to-end tests run the same cases on those agents, hold them against
// `consul connect envoy -bootstrap`, and record anew with -update.
func TestBootstrap_golden(t *testing.T) {
	data, err := filepath.Abs("../e2e/parity/testdata")
	must.NoError(t, err)
	for _, c := range parity.All() {
		if c.Live {
			continue
		}
		t.Run(c.Slug(), func(t *testing.T) {
			golden, want, err := parity.Load(data, c)
			must.NoError(t, err)
			consul := parity.Replay(golden.Replies)
			defer consul.Close()
			t.Chdir(filepath.Join(data, "files"))
			setEnvironment(t, append([]string{"CONSUL_HTTP_ADDR=" + consul.URL}, c.Env...))
			var stdout, stderr bytes.Buffer
			status := Run(append([]string{"bootstrap"}, strings.Fields(c.Args)...), "0.0.0", &stdout, &stderr)
			if c.Error != "" {
				must.StrContains(t, stderr.String(), c.Error)
				must.Eq(t, 1, status)
				must.Eq(t, "", stdout.String())
				return
			}
			must.Eq(t, 0, status, must.Sprint(stderr.String()))
			must.StrContains(t, stderr.String(), c.Warning)
			must.Eq(t, c.Warning == "", stderr.Len() == 0, must.Sprint(stderr.String()))
			must.True(t, parity.SameJSON(want, stdout.Bytes()), must.Sprintf("the golden file has\n%s\nwe print\n%s", want, stdout.String()))
		})
	}
}

// setEnvironment leaves nothing of the variables that the command reads but
// the given ones.
func setEnvironment(t *testing.T, entries []string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "CONNECT_") || name == "HOST_IP" || name == "STATSD_URL" {
			t.Setenv(name, "") // so that it is there again after the test
			must.NoError(t, os.Unsetenv(name))
		}
	}
	for _, entry := range entries {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
}
