package driver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// The life of a task as Nomad's client leads it, phase by phase.
func TestRPC_life(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	w.consul.KnowTokens("secret")
	h := w.plugin()
	handle, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateRunning, handle.State)
	must.Eq(t, "secret", w.consul.Registrar())
	h.told(w.task, "is ready in")
	h.awaitAttribute(w.task, "phase", "serving")
	must.Eq(t, "passing", w.consul.Ready())
	_, _, err = h.StartTask(w.task)
	must.ErrorContains(t, err, "is running already")

	status, err := h.InspectTask(w.task.ID)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateRunning, status.State)
	must.Eq(t, "proxy", status.Name)
	must.Eq(t, fake.EnvoyVersion, status.DriverAttributes["envoy_version"])
	must.Eq(t, webService+"-sidecar-proxy", status.DriverAttributes["proxy_id"])
	w.measured(h)
	memory := w.sharedMemory()

	waiters := []<-chan *drivers.ExitResult{w.wait(h), w.wait(h)}
	w.signalled(h)
	h = w.recovered(h, handle)
	waiters = append(waiters[:0], w.wait(h), w.wait(h)) // the others waited for the plugin before
	must.ErrorContains(t, h.DestroyTask(w.task.ID, false), "is running; destroying it needs force")
	must.NoError(t, h.StopTask(w.task.ID, 10*time.Second, "SIGTERM"))
	for _, waiter := range waiters {
		must.Eq(t, 0, (<-waiter).ExitCode)
	}
	h.told(w.task, "Stopped")
	status, err = h.InspectTask(w.task.ID)
	must.NoError(t, err)
	must.Eq(t, drivers.TaskStateExited, status.State)
	must.False(t, status.CompletedAt.IsZero())
	must.Eq(t, 0, (<-w.wait(h)).ExitCode, must.Sprint("also for who asks late"))
	must.NoError(t, h.DestroyTask(w.task.ID, false))
	w.clean()
	must.FileNotExists(t, memory)
	must.ErrorContains(t, h.RecoverTask(handle), "its run directory is there any more")
}

// sharedMemory is the file that the generations of the node's Envoy share.
func (w *world) sharedMemory() string {
	w.t.Helper()
	running := w.envoys()
	must.Len(w.t, 1, running)
	at := slices.Index(running[0], "--base-id")
	file := "/dev/shm/envoy_shared_memory_" + running[0][at+1] + "0"
	must.FileExists(w.t, file)
	return file
}

func (w *world) wait(h *harness) <-chan *drivers.ExitResult {
	w.t.Helper()
	result, err := h.WaitTask(w.t.Context(), w.task.ID)
	must.NoError(w.t, err)
	return result
}

// measured checks that there are measurements, and that they end with who asks.
func (w *world) measured(h *harness) {
	w.t.Helper()
	samples, err := h.TaskStats(w.t.Context(), w.task.ID, time.Second)
	must.NoError(w.t, err)
	for range 2 {
		sample, ok := <-samples
		must.True(w.t, ok)
		must.Positive(w.t, sample.ResourceUsage.MemoryStats.RSS)
		must.Positive(w.t, sample.Timestamp)
	}
}

// signalled checks that SIGHUP is a hot restart, and nothing that is no signal.
func (w *world) signalled(h *harness) {
	w.t.Helper()
	must.ErrorContains(w.t, h.SignalTask(w.task.ID, "SIGNOTHING"), `"SIGNOTHING" is not a signal`)
	before := h.attribute(w.task, "pid")
	must.NoError(w.t, h.SignalTask(w.task.ID, "SIGHUP"))
	h.awaitAttribute(w.task, "hot_restarts", "1")
	must.NotEq(w.t, before, h.attribute(w.task, "pid"))
	h.told(w.task, "Hot restart 1 (SIGHUP)")
	h.told(w.task, "Generation 0 has left")
}

// recovered kills the plugin, and gives the next one the task.
func (w *world) recovered(h *harness, handle *drivers.TaskHandle) *harness {
	w.t.Helper()
	pid := h.attribute(w.task, "pid")
	h.kill()
	next := w.plugin()
	must.ErrorContains(w.t, next.SignalTask(w.task.ID, "SIGHUP"), drivers.ErrTaskNotFound.Error())
	outdated := handle.Copy()
	outdated.Version++
	must.ErrorContains(w.t, next.RecoverTask(outdated), "this driver knows")
	must.NoError(w.t, next.RecoverTask(handle))
	must.NoError(w.t, next.RecoverTask(handle), must.Sprint("it has it already"))
	w.t.Cleanup(func() { _ = next.DestroyTask(w.task.ID, true) })
	must.Eq(w.t, pid, next.attribute(w.task, "pid"))
	next.awaitAttribute(w.task, "phase", "serving")
	next.told(w.task, "Found Envoy again")
	return next
}

// A task that is killed is told of to who waits, and destroyed by force with all
// that it had.
func TestRPC_crashAndForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	h.awaitAttribute(w.task, "phase", "serving")
	must.NoError(t, h.SignalTask(w.task.ID, "SIGKILL"))
	h.awaitAttribute(w.task, "hot_restarts", "1") // a first crash is mended
	must.NoError(t, h.SignalTask(w.task.ID, "SIGKILL"))
	must.Eq(t, 9, (<-w.wait(h)).Signal)
	must.Eq(t, "critical", w.consul.Ready())
	must.ErrorContains(t, h.SignalTask(w.task.ID, "SIGHUP"), "Envoy has exited")
	must.NoError(t, h.DestroyTask(w.task.ID, false))
	w.clean()

	_, err = w.start(h, sidecarHCL("")) // as Nomad's restart policy does
	must.NoError(t, err)
	exit := w.wait(h)
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	<-exit
	w.clean()
	_, err = h.InspectTask(w.task.ID)
	must.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
}

// What cannot start leaves nothing, and tells Nomad whether to try it again.
func TestRPC_StartTask_fails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		behaviour   fake.Behaviour
		hcl         string
		spoil       func(*world)
		want        string
		recoverable bool
	}{
		{"a label that is none", fake.WellBehaved, "service = \"web\"\nsidecar_service {\n port = \"mseh\"\n}", nil, `sidecar_service.port: "mseh" is not the label of a port`, false},
		{"root", fake.WellBehaved, sidecarHCL("") + "\nenvoy {\n user = \"root\"\n}", nil, "a proxy does not run as root", false},
		{"an Envoy of its own", fake.WellBehaved, sidecarHCL("") + "\nenvoy {\n path = \"/opt/x\"\n}", nil, "have the operator set allow { envoy_path = true }", false},
		{"Consul is away", fake.WellBehaved, sidecarHCL(""), func(w *world) { w.consul.Close() }, "is the agent running, and is that its address?", true},
		{"Consul refuses", fake.WellBehaved, sidecarHCL(""), func(w *world) { w.consul.Fail("PUT /v1/agent/service/register", 500) }, "answers 500: out of order", true},
		{"a token that is none", fake.WellBehaved, sidecarHCL(""), func(w *world) { w.consul.KnowTokens("another") }, "does not know the ACL token", true},
		{"no Envoy", fake.Impostor, sidecarHCL(""), nil, "is not an Envoy", true},
		{"Envoy dies", fake.Mortal, sidecarHCL(`upstreams {
			destination_name = "db"
			local_bind_port  = 9191
		}`), nil, "Envoy exited with status 3 before it was ready; it accepts what it reads, and gave no reason; what it wrote is shown by `nomad alloc fs a1 alloc/logs/proxy.stderr.0`", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.behaviour)
			h := w.plugin()
			if tc.spoil != nil {
				tc.spoil(w)
			}
			_, err := w.start(h, tc.hcl)
			must.ErrorContains(t, err, tc.want)
			must.Eq(t, tc.recoverable, structs.IsRecoverable(err))
			_, err = h.InspectTask(w.task.ID)
			must.ErrorContains(t, err, drivers.ErrTaskNotFound.Error())
			w.clean()
		})
	}
}

// A mistake of the operator's is found when the plugin is told of it, and what the
// plugin had stays.
func TestRPC_SetConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	for hcl, want := range map[string]string{
		"ready {\n timeout = \"soon\"\n}":      `plugin config: ready.timeout: "soon" is not a positive duration`,
		"drain {\n timeout = \"1500ms\"\n}":    "plugin config: drain.timeout:",
		"hot_restart {\n spread = \"slow\"\n}": `plugin config: hot_restart.spread: "slow" is neither a duration`,
		"envoy {\n log_level = \"loud\"\n}":    `plugin config: envoy.log_level: "loud" is unknown`,
		"envoy {\n args = [\"--base-id\"]\n}":  `plugin config: envoy.args: "--base-id" cannot be given`,
		"allow {\n users = [\"root\"]\n}":      `plugin config: allow.users: "root" cannot be listed`,
		"envoy {\n concurrency = -1\n}":        "plugin config: envoy.concurrency: -1 is not a number of threads",
	} {
		must.ErrorContains(t, h.configure(hcl), want)
	}
	_, err := w.start(h, sidecarHCL(""))
	must.NoError(t, err)
	must.NoError(t, h.DestroyTask(w.task.ID, true))
	w.clean()
}

// The fingerprint says what is missing, and notices when it is there.
func TestRPC_Fingerprint(t *testing.T) {
	t.Parallel()
	w := newWorld(t, fake.WellBehaved)
	h := w.plugin()
	nowhere := t.TempDir() + "/envoy"
	must.NoError(t, h.configure(fmt.Sprintf("consul {\n address = %q\n}\nenvoy {\n path = %q\n}", w.consul.URL, nowhere)))
	w.consul.Fail("GET /v1/agent/self", 500)
	prints, err := h.Fingerprint(t.Context())
	must.NoError(t, err)
	print := <-prints
	must.Eq(t, drivers.HealthStateUndetected, print.Health)
	must.StrContains(t, print.HealthDescription, "there is no Envoy at "+nowhere)
	must.MapEmpty(t, print.Attributes)

	must.NoError(t, h.configure(w.config()+"\nallow {\n envoy_args = [\"--log-format\"]\n}"))
	print = <-prints
	must.Eq(t, drivers.HealthStateUnhealthy, print.Health)
	must.StrContains(t, print.HealthDescription, "answers 500: out of order")

	w.consul.Heal()
	print = <-prints
	must.Eq(t, drivers.HealthStateHealthy, print.Health)
	must.Eq(t, drivers.DriverHealthy, print.HealthDescription)
	for name, want := range map[string]string{
		attrDriver: "true", attrVersion: Version, attrEnvoyVersion: fake.EnvoyVersion, attrConsulVersion: fake.ConsulVersion,
		attrAllow + "envoy_args": "--log-format", attrAllow + "bootstrap_path": "true",
	} {
		must.Eq(t, want, print.Attributes[name].GoString())
	}
	eventually(t, "the node's services are followed", w.consul.Watched)
}

// Who has no task of that name is told so by every call.
func TestRPC_unknownTask(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	result, err := h.WaitTask(t.Context(), "nothing")
	must.NoError(t, err)
	_, inspect := h.InspectTask("nothing")
	_, exec := h.ExecTask("nothing", []string{"true"}, time.Second)
	for name, err := range map[string]error{
		"WaitTask": (<-result).Err, "InspectTask": inspect, "ExecTask": exec,
		"StopTask": h.StopTask("nothing", time.Second, "SIGTERM"), "DestroyTask": h.DestroyTask("nothing", true), "SignalTask": h.SignalTask("nothing", "SIGHUP"),
	} {
		must.ErrorContains(t, err, drivers.ErrTaskNotFound.Error(), must.Sprint(name))
	}
	must.ErrorContains(t, h.RecoverTask(&drivers.TaskHandle{}), "its state has version 0")
}
