package envoy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// TestMain lets this very binary be an Envoy.
func TestMain(m *testing.M) {
	fake.RunAsEnvoy()
	os.Exit(m.Run())
}

// startFake starts a fake Envoy with a public listener, "" for none, and gives its
// working directory and admin API.
func startFake(t *testing.T, behaviour fake.Behaviour, listener string) (dir string, admin *Admin) {
	t.Helper()
	dir = t.TempDir()
	base, err := ClaimSharedMemory(runIn(dir))
	must.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), fake.Envoy(t, behaviour), Options{BaseID: base}.Args()...)
	cmd.Dir, cmd.Env = dir, append(fake.EnvoyEnv(t), fake.ListenerVariable+"="+listener)
	cmd.Stderr = os.Stderr
	must.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_, _ = cmd.Process.Kill(), cmd.Wait()
		must.NoError(t, RemoveSharedMemory(dir, process.User{}))
	})
	admin = adminAt(filepath.Join(dir, fake.AdminSocket))
	eventually(t, func() bool { return admin.Ping(t.Context()) == nil })
	admin.Forget()
	return dir, admin
}

func adminAt(socket string) *Admin {
	return NewAdmin(bootstrap.AdminAddress{Network: "unix", Address: filepath.Base(socket)}, runIn(filepath.Dir(socket)))
}

// runIn is a run in a directory of the test's.
func runIn(dir string) sidecar.Run { return sidecar.Run{Root: dir, Dir: dir} }

// eventually waits for a condition.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(10*time.Second), wait.Gap(5*time.Millisecond)))
}
