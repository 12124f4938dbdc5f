package driver

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// sleeper is a program that is ready at once, and does nothing.
type sleeper struct{}

func (sleeper) Name() string                    { return "sleep" }
func (sleeper) Preflight(context.Context) error { return nil }
func (sleeper) Prepare(context.Context) error   { return nil }
func (sleeper) Outdated(*process.Process, *sidecar.Launch) (sidecar.Reason, error) {
	return sidecar.Reason{}, nil
}
func (sleeper) Recover(*process.Process)                               {}
func (sleeper) Epoch([]string) (int, bool)                             { return 0, true }
func (sleeper) StandIn(context.Context, int, []process.Listener) error { return nil }
func (sleeper) Listeners(*process.Process) []sidecar.StaticListener    { return nil }

func (sleeper) LastWords() string        { return "" }
func (sleeper) Control() sidecar.Control { return content{} }
func (sleeper) Remove() error            { return nil }

func (sleeper) Next(context.Context, sidecar.Place, int) (*sidecar.Launch, error) {
	return &sidecar.Launch{
		Path: "/bin/sleep", Args: []string{"300"},
		Check: func(context.Context) error { return nil },
		Open:  func() ([]*os.File, error) { return nil, nil },
	}, nil
}

// content is a control with nothing to say.
type content struct{ sidecar.Control }

func (content) Progress(context.Context, int) (sidecar.Progress, error) {
	return sidecar.Progress{}, nil
}
func (content) Listeners(context.Context) []sidecar.Address  { return nil }
func (content) Remark(context.Context, sidecar.Place) string { return "" }
func (content) Alive(context.Context) error                  { return nil }
func (content) Leaving(context.Context, bool) error          { return nil }

// startLeaving starts a task that Consul knows, and destroys it when Consul does not
// take that.
func startLeaving(t *testing.T) (*Plugin, *fake.Consul, *drivers.TaskConfig) {
	t.Helper()
	agent := fake.StartConsul(t)
	config := &drivers.TaskConfig{ID: "a1/proxy/1", AllocID: "a1", Name: "proxy", AllocDir: t.TempDir()}
	p := &Plugin{ctx: t.Context(), log: hclog.NewNullLogger(), tasks: newTasks()}
	client, err := p.pool.Client(consul.Config{Address: agent.URL}, nil)
	must.NoError(t, err)
	node := mesh.Node{Consul: client, Watch: &p.watch.Watch, Emit: func(string) {}}
	member := mesh.NewOwn(mesh.Registration{
		Service: "web", StandaloneID: "web-client", Listener: sidecar.Port{Address: "127.0.0.77", Number: 21000},
	}, node)
	spec := sidecar.Spec{ReadyTimeout: 10 * time.Second, DrainTimeout: time.Second}
	spec.Run = sidecar.Run{Root: config.AllocDir, Dir: filepath.Join(config.AllocDir, "run"), Stdout: os.DevNull, Stderr: os.DevNull}
	life, err := sidecar.Start(t.Context(), spec, member, sleeper{}, sidecar.Host{
		Emit: node.Emit, Log: p.log, Timing: sidecar.Usual(), Changed: func() (bool, error) { return false, nil },
	})
	must.NoError(t, err)
	p.tasks.put(config.ID, &task{config: config, sidecar: life, proxy: &proxy{plugin: p, config: config, client: client, tokens: p.newTokenKeeper(proxySpec{}, config)}})

	agent.Fail("PUT /v1/agent/service/deregister/", 0)
	must.NoError(t, p.DestroyTask(config.ID, true))
	_, err = p.tasks.get(config.ID)
	must.ErrorIs(t, err, drivers.ErrTaskNotFound)
	must.NotNil(t, agent.Proxy())
	must.ErrorIs(t, syscall.Kill(life.Status().Process.PID, 0), syscall.ESRCH)
	must.Eq(t, 1, p.tasks.stillLeaving())
	return p, agent, config
}

func (t *tasks) stillLeaving() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.leaving)
}

// What could not be withdrawn is, soon after Consul is back.
func TestLeaving(t *testing.T) {
	t.Parallel()
	p, agent, _ := startLeaving(t)
	refused := agent.Refusals()
	within(t, func() bool { return agent.Refusals() > refused })
	agent.Heal()
	within(t, func() bool { return agent.Proxy() == nil && p.tasks.stillLeaving() == 0 })
}

// Who starts the task again does not have its registration taken away.
func TestLeaving_comesBack(t *testing.T) {
	t.Parallel()
	p, agent, config := startLeaving(t)
	again := *config
	again.ID = "a1/proxy/2" // as after a restart
	defer p.tasks.begin(&again)()
	must.Eq(t, 0, p.tasks.stillLeaving(), must.Sprint("nobody is there any more who would"))
	agent.Heal()
	must.NotNil(t, agent.Proxy())
}

// Another task of the allocation is nothing to it.
func TestLeaving_another(t *testing.T) {
	t.Parallel()
	p, agent, config := startLeaving(t)
	other := *config
	other.ID, other.Name = "a1/other/1", "other"
	defer p.tasks.begin(&other)()
	must.Eq(t, 1, p.tasks.stillLeaving())
	agent.Heal()
	within(t, func() bool { return agent.Proxy() == nil })
}

func within(t *testing.T, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(2*leaveRetryMax), wait.Gap(10*time.Millisecond)))
}
