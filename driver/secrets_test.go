package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// The JWTs that Nomad leaves open to everybody are nobody's from the start on, also one
// that comes later and one that is not made use of.
func TestRPC_hidesIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.inSecrets("si_token", "secret")
	secrets := w.task.TaskDir().SecretsDir
	open := func(name string) string {
		path := filepath.Join(secrets, name)
		must.NoError(t, os.WriteFile(path, []byte("JWT"), 0o666))
		must.NoError(t, os.Chmod(path, 0o666))
		return path
	}
	isHidden := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode() == 0o600
	}
	first, other := open("nomad_consul_default.jwt"), open("token.jwt")
	h := w.plugin()
	h.quickly()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	must.True(t, isHidden(first))
	must.False(t, isHidden(other), must.Sprint("it is the task's"))
	later := open("nomad_mesh.jwt")
	within(t, func() bool { return isHidden(later) })
}

// The driver does not touch what somebody else has put in the place of a JWT.
func TestHideLeftovers_foreign(t *testing.T) {
	t.Parallel()
	f := newJobFiles(t)
	must.NoError(t, hideLeftovers(f.task))
	public := f.write("elsewhere", "public", 0o644)
	must.NoError(t, os.Link(public, filepath.Join(f.dir["secrets"], "nomad_a.jwt")))
	must.NoError(t, hideLeftovers(f.task))
	f.link(public, "secrets", "nomad_b.jwt")
	must.ErrorContains(t, hideLeftovers(f.task), "make private what Nomad wrote for the proxy")
	info, err := os.Stat(public)
	must.NoError(t, err)
	must.Eq(t, 0o644, info.Mode())
}
