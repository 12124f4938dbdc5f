package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// What lay in memory is gone after a restart of the machine, and Nomad does not write it
// again: the allocation is given up, and no other token is taken for it.
func TestRPC_rebootWithoutToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	delete(w.task.Env, api.HTTPTokenEnvName)
	w.inSecrets("si_token", "first")
	w.consul.KnowTokens("first")
	next := w.rebooted(sidecarHCL(""), nil)
	must.NoError(t, os.Remove(filepath.Join(w.task.TaskDir().SecretsDir, "si_token")))
	_, err := w.start(next, sidecarHCL(""))
	must.ErrorContains(t, err, "secrets/si_token: is gone since the machine was restarted")
	must.False(t, structs.IsRecoverable(err), must.Sprint("Nomad is to make a new allocation"))

	w.consul.Identify("JWT", 0)
	w.inSecrets("nomad_consul_default.jwt", "JWT")
	_, err = w.start(next, sidecarHCL(""))
	must.NoError(t, err)
	next.told(w.task, "Acts in Consul with the ACL token accessor of login 1")
	must.MapEmpty(t, next.plugin.tasks.lost)
	must.NoError(t, next.DestroyTask(w.task.ID, true))
}

// A file of the job's own in the secrets is gone as well.
func TestRPC_rebootWithoutTokenFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.inSecrets("own", "first")
	w.consul.KnowTokens("first")
	file := filepath.Join(w.task.TaskDir().SecretsDir, "own")
	hcl := sidecarHCL("") + fmt.Sprintf("\n consul {\n token_file = %q\n}", file)
	next := w.rebooted(hcl, nil)
	must.NoError(t, os.Remove(file))
	_, err := w.start(next, hcl)
	must.ErrorContains(t, err, file+": is gone since the machine was restarted")
	must.False(t, structs.IsRecoverable(err))
}

// A handle of a driver that did not note where the token lay: it is taken for gone where
// there are ACLs, and a task that is known to have had none is started as before.
func TestRPC_rebootUnknownToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	delete(w.task.Env, api.HTTPTokenEnvName)
	next := w.rebooted(sidecarHCL(""), func(state *taskState) {
		must.Eq(t, noToken, state.Spec.TokenSource)
		state.Spec.TokenSource = ""
	})
	w.consul.KnowTokens("another")
	_, err := w.start(next, sidecarHCL(""))
	must.ErrorContains(t, err, "secrets/si_token: is gone since the machine was restarted")
	must.False(t, structs.IsRecoverable(err))

	other := newWorld(t, fake.WellBehaved)
	delete(other.task.Env, api.HTTPTokenEnvName)
	other.consul.KnowTokens("another")
	next = other.rebooted(sidecarHCL(""), nil)
	_, err = other.start(next, sidecarHCL(""))
	must.NoError(t, err)
	must.NoError(t, next.DestroyTask(other.task.ID, true))
}

// rebooted runs the task, and gives a plugin after a restart of the machine that Nomad has
// offered the task's handle to, which may be an older driver's.
func (w *world) rebooted(hcl string, age func(*taskState)) *harness {
	w.t.Helper()
	h := w.plugin()
	handle, err := w.start(h, hcl)
	must.NoError(w.t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	pid, err := strconv.Atoi(h.attribute(w.task, "pid"))
	must.NoError(w.t, err)
	h.kill()
	must.NoError(w.t, syscall.Kill(pid, syscall.SIGKILL))
	if age != nil {
		state, err := readHandle(handle)
		must.NoError(w.t, err)
		age(&state)
		must.NoError(w.t, handle.SetDriverState(state))
	}
	next := newHarness(w.t)
	next.plugin.machine.boot = "another"
	must.NoError(w.t, next.configure(w.config()))
	must.ErrorContains(w.t, next.RecoverTask(handle), "the machine was restarted since")
	return next
}
