package driver

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// After a restart of the machine what Consul still knows of yesterday goes at the first
// contact, and Nomad is told to start its tasks anew.
func TestRPC_reboot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	pid, err := strconv.Atoi(h.attribute(w.task, "pid"))
	must.NoError(t, err)
	h.kill()
	must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	must.NotNil(t, w.consul.Proxy())

	next := newHarness(t)
	next.plugin.machine.boot = "another"
	must.NoError(t, next.configure(w.config()))
	_, err = next.Fingerprint(t.Context())
	must.NoError(t, err)
	eventually(t, "nothing of yesterday is left in Consul", func() bool { return w.consul.Proxy() == nil })
	must.ErrorContains(t, next.RecoverTask(handle), "the machine was restarted since")
	_, err = w.start(next, sidecarHCL(""))
	must.NoError(t, err)
	next.awaitAttribute(w.task, "phase", "serving")
	must.NoError(t, next.DestroyTask(w.task.ID, true))
	w.clean()
}

// Where it is not known whether the machine was restarted, nothing is concluded from it.
func TestRPC_unknownBoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	h.kill()

	next := newHarness(t)
	next.plugin.machine.boot = ""
	must.NoError(t, next.configure(w.config()))
	must.NoError(t, next.RecoverTask(handle))
	next.awaitAttribute(w.task, "phase", "serving")
	must.NoError(t, next.DestroyTask(w.task.ID, true))
	w.clean()
}
