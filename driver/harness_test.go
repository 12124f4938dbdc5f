package driver

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"github.com/shoenig/test/wait"

	"nomad-driver-connect/fake"
)

// harness is a plugin as Nomad's client has it: over gRPC, by Nomad's own code on
// both sides. (Nomad's DriverHarness is the same, but would bring Docker into go.mod.)
type harness struct {
	drivers.DriverPlugin

	t      *testing.T
	plugin *Plugin
	kill   func() // ends the plugin, and none of its tasks

	mu     sync.Mutex
	events []string
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	log := hclog.NewNullLogger()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	plugin := New(ctx, log)
	client, server := goplugin.TestPluginGRPCConn(t, true, map[string]goplugin.Plugin{
		base.PluginTypeBase:   &base.PluginBase{Impl: plugin},
		base.PluginTypeDriver: drivers.NewDriverPlugin(plugin, log),
	})
	h := &harness{t: t, plugin: plugin, kill: sync.OnceFunc(func() {
		cancel()
		server.Stop()
		_ = client.Close() // after it: it would ask the server to stop, too
	})}
	t.Cleanup(h.kill)
	dispensed, err := client.Dispense(base.PluginTypeDriver)
	must.NoError(t, err)
	h.DriverPlugin = dispensed.(drivers.DriverPlugin)
	events, err := h.TaskEvents(ctx)
	must.NoError(t, err)
	go h.listen(events)
	return h
}

func (h *harness) listen(events <-chan *drivers.TaskEvent) {
	for event := range events {
		h.mu.Lock()
		h.events = append(h.events, event.TaskID+": "+event.Message)
		h.mu.Unlock()
	}
}

// told waits for an event of a task.
func (h *harness) told(task *drivers.TaskConfig, part string) {
	h.t.Helper()
	eventually(h.t, "an event that says "+part, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, event := range h.events {
			if strings.HasPrefix(event, task.ID+": ") && strings.Contains(event, part) {
				return true
			}
		}
		return false
	})
}

// configure sets the plugin's config, as an operator writes it.
func (h *harness) configure(hcl string) error {
	h.t.Helper()
	schema, err := h.ConfigSchema()
	must.NoError(h.t, err)
	var config PluginConfig
	hclutils.NewConfigParser(schema).ParseHCL(h.t, "config {\n"+hcl+"\n}", &config)
	var encoded []byte
	must.NoError(h.t, base.MsgPackEncode(&encoded, config))
	return h.SetConfig(&base.Config{PluginConfig: encoded, AgentConfig: &base.AgentConfig{}})
}

// setTask gives a task the config that a job author writes.
func (h *harness) setTask(task *drivers.TaskConfig, hcl string) {
	h.t.Helper()
	schema, err := h.TaskConfigSchema()
	must.NoError(h.t, err)
	spec, diagnostics := hclspecutils.Convert(schema)
	must.False(h.t, diagnostics.HasErrors())
	config, diagnostics, errs := hclutils.ParseHclInterface(hclutils.HclConfigToInterface(h.t, "config {\n"+hcl+"\n}"), spec, nil)
	must.SliceEmpty(h.t, errs)
	must.False(h.t, diagnostics.HasErrors(), must.Sprint(diagnostics))
	must.NoError(h.t, task.EncodeDriverConfig(config))
}

// attribute is what the plugin says of a task; empty for a task that it does not know.
func (h *harness) attribute(task *drivers.TaskConfig, name string) string {
	status, err := h.InspectTask(task.ID)
	if err != nil {
		return ""
	}
	return status.DriverAttributes[name]
}

func (h *harness) awaitAttribute(task *drivers.TaskConfig, name, value string) {
	h.t.Helper()
	eventually(h.t, name+" "+value, func() bool { return h.attribute(task, name) == value })
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	must.Wait(t, wait.InitialSuccess(wait.BoolFunc(condition), wait.Timeout(20*time.Second), wait.Gap(10*time.Millisecond)), must.Sprint(what))
}

// world is a node with a Consul agent, an Envoy and an allocation of a group whose
// service "web" nobody stands before yet.
type world struct {
	t      *testing.T
	consul *fake.Consul
	envoy  string
	app    net.Listener
	task   *drivers.TaskConfig
}

const (
	webService = "_nomad-task-a1-group-g-web-http"
	taskUser   = 81234
)

func newWorld(t *testing.T, behaviour fake.Behaviour) *world {
	t.Helper()
	w := &world{t: t, consul: fake.StartConsul(t), envoy: fake.Envoy(t, behaviour)}
	var err error
	w.app, err = net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	t.Cleanup(func() { _ = w.app.Close() })
	w.consul.Add(&api.AgentServiceRegistration{ID: webService, Name: "web", Address: "127.0.0.1", Port: portOf(w.app)})
	mesh := w.freePort()
	w.task = &drivers.TaskConfig{
		ID: "a1/proxy/1", AllocID: "a1", JobID: "shop", TaskGroupName: "g", Name: "proxy", Namespace: "default", NodeID: "n1",
		AllocDir:  filepath.Join(t.TempDir(), "a1"),
		User:      fmt.Sprintf("nomad-%d", taskUser),
		Env:       map[string]string{api.HTTPTokenEnvName: "secret", fake.ListenerVariable: fmt.Sprintf("127.0.0.1:%d", mesh)},
		Resources: &drivers.Resources{Ports: &structs.AllocatedPorts{{Label: "mesh", Value: mesh, HostIP: "127.0.0.1"}}},
	}
	for _, entry := range fake.EnvoyEnv(t) {
		name, value, _ := strings.Cut(entry, "=")
		w.task.Env[name] = value
	}
	dir := w.task.TaskDir()
	for _, d := range []string{dir.SharedAllocDir, dir.LocalDir, dir.SecretsDir} {
		must.NoError(t, os.MkdirAll(d, 0o777))
	}
	w.task.StdoutPath, w.task.StderrPath = filepath.Join(dir.SharedAllocDir, "stdout"), filepath.Join(dir.SharedAllocDir, "stderr")
	for _, fifo := range []string{w.task.StdoutPath, w.task.StderrPath} {
		must.NoError(t, syscall.Mkfifo(fifo, 0o600))
	}
	return w
}

// plugin starts a plugin on the node.
func (w *world) plugin() *harness {
	w.t.Helper()
	h := newHarness(w.t)
	must.NoError(w.t, h.configure(w.config()))
	return h
}

func (w *world) config() string {
	return fmt.Sprintf("consul {\n address = %q\n}\nenvoy {\n path = %q\n}\ndrain {\n timeout = \"2s\"\n}", w.consul.URL, w.envoy)
}

// start starts the task with a config.
func (w *world) start(h *harness, hcl string) (*drivers.TaskHandle, error) {
	w.t.Helper()
	h.setTask(w.task, hcl)
	handle, _, err := h.StartTask(w.task)
	w.t.Cleanup(func() { _ = h.DestroyTask(w.task.ID, true) })
	return handle, err
}

func (w *world) freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(w.t, err)
	defer func() { _ = l.Close() }()
	return portOf(l)
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// envoys are the command lines of those that run on the node.
func (w *world) envoys() [][]string {
	return slices.DeleteFunc(commandLines(w.t), func(args []string) bool { return args[0] != w.envoy })
}

// commandLines are those of all processes.
func commandLines(t *testing.T) [][]string {
	t.Helper()
	var found [][]string
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must.NoError(t, err)
	for _, file := range files {
		line, _ := os.ReadFile(file) // empty when it has just ended
		found = append(found, strings.Split(string(line), "\x00"))
	}
	return found
}

// isRunning tells whether an argument of any process has a part.
func isRunning(t *testing.T, part string) bool {
	t.Helper()
	return slices.ContainsFunc(commandLines(t), func(args []string) bool { return strings.Contains(strings.Join(args, " "), part) })
}

// clean checks that nothing is left: no registration, no process, no directory.
func (w *world) clean() {
	w.t.Helper()
	must.Eq(w.t, []string{webService}, w.consul.Services())
	must.SliceEmpty(w.t, w.envoys())
	must.DirNotExists(w.t, runDir(w.task))
}
