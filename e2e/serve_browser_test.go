package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// isBrowsed has a browser do through the server what the forms of Nomad's UI do:
// parse a job, plan it, run it, edit its definition, and open a terminal.
func (b *before) isBrowsed(t *testing.T) {
	alloc := awaitRunning(t, b.Cluster, "hook-echo", "client")
	cmd := exec.CommandContext(t.Context(), filepath.Join(*tools, "node"), "browser/job_form.js", b.url, echoFile, alloc.ID)
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprintf("%s", out))
}
