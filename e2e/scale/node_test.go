package scale

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sync/errgroup"

	"nomad-driver-connect/fake"
)

// node is one that tasks of the driver run on.
type node struct {
	t      testing.TB
	consul *consul.Client
	config map[string]any // of the plugin
	app    net.Listener   // that all tasks share
	env    map[string]string
	dir    string // of all allocations
	groups cgroups

	client *plugin.Client
	driver drivers.DriverPlugin

	mu    sync.Mutex
	tasks map[string]*drivers.TaskHandle // by ID
}

// ownConnections are those that a test itself may have to Consul.
const ownConnections = 2

// newNode starts the plugin. The Consul agent at address must be up.
func newNode(t testing.TB, address, grpc, envoy string, env []string) *node {
	client, err := consul.NewClient(&consul.Config{Address: address, Transport: &http.Transport{MaxConnsPerHost: ownConnections}})
	must.NoError(t, err)
	n := &node{t: t, consul: client, groups: newCgroups(t), dir: allocDir(t), env: map[string]string{}, tasks: map[string]*drivers.TaskHandle{}}
	n.config = map[string]any{
		"consul": map[string]any{"address": address, "grpc_address": grpc},
		"envoy":  map[string]any{"path": envoy, "concurrency": 1, "log_level": "off"},
	}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		n.env[name] = value
	}
	n.app, err = net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	go func() {
		for {
			conn, err := n.app.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = n.app.Close() })
	n.startPlugin()
	t.Cleanup(n.close)
	return n
}

// allocDir is one that every user may search.
func allocDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "scale-") //nolint:usetesting // only root may search t.TempDir
	must.NoError(t, err)
	must.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// startPlugin does what Nomad's agent does.
func (n *node) startPlugin() {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr})
	n.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  base.Handshake,
		Plugins:          map[string]plugin.Plugin{base.PluginTypeBase: &base.PluginBase{}, base.PluginTypeDriver: drivers.NewDriverPlugin(nil, log)},
		Cmd:              exec.Command(*driver),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           log,
	})
	rpc, err := n.client.Client()
	must.NoError(n.t, err)
	raw, err := rpc.Dispense(base.PluginTypeDriver)
	must.NoError(n.t, err)
	n.driver = raw.(drivers.DriverPlugin)
	var config []byte
	must.NoError(n.t, base.MsgPackEncode(&config, n.config))
	must.NoError(n.t, n.driver.SetConfig(&base.Config{PluginConfig: config, AgentConfig: &base.AgentConfig{Driver: &base.ClientDriverConfig{}}}))
	prints, err := n.driver.Fingerprint(context.Background())
	must.NoError(n.t, err)
	first := <-prints
	must.Eq(n.t, drivers.HealthStateHealthy, first.Health, must.Sprint(first.HealthDescription))
	go func() {
		for range prints { // as Nomad reads them
		}
	}()
}

// killPlugin kills it as the kernel might, and waits for its end.
func (n *node) killPlugin() {
	n.client.Kill()
}

func (n *node) pid() int { return n.client.ReattachConfig().Pid }

// close stops all tasks, and the plugin. It may be called again.
func (n *node) close() {
	if n.client.Exited() {
		return
	}
	n.each(32, func(id string, _ *drivers.TaskHandle) error {
		_ = n.driver.StopTask(id, 0, "SIGKILL")
		return n.driver.DestroyTask(id, true)
	})
	n.client.Kill()
}

// stop ends the first tasks, all at the same moment.
func (n *node) stop(count int) {
	n.t.Helper()
	var group errgroup.Group
	for i := 1; i <= count; i++ {
		id := fmt.Sprintf("alloc-%d/proxy/1", i)
		group.Go(func() error {
			return errors.Join(n.driver.StopTask(id, 10*time.Second, "SIGTERM"), n.driver.DestroyTask(id, false))
		})
		delete(n.tasks, id)
	}
	must.NoError(n.t, group.Wait())
}

// each does something for every task, some at the same time.
func (n *node) each(parallel int, f func(id string, h *drivers.TaskHandle) error) {
	n.t.Helper()
	var group errgroup.Group
	group.SetLimit(parallel)
	n.mu.Lock()
	for id, h := range n.tasks {
		group.Go(func() error { return f(id, h) })
	}
	n.mu.Unlock()
	if err := group.Wait(); err != nil {
		n.t.Error(err)
	}
}

// start starts tasks first to last, some at the same time, each with a service of
// its own that Nomad would register.
func (n *node) start(first, last, parallel int) {
	n.t.Helper()
	var group errgroup.Group
	group.SetLimit(parallel)
	for i := first; i <= last; i++ {
		group.Go(func() error { return n.startOne(i) })
	}
	must.NoError(n.t, group.Wait())
}

func (n *node) startOne(i int) error {
	task, err := n.task(i)
	if err != nil {
		return err
	}
	parent := &consul.AgentServiceRegistration{
		ID:   fmt.Sprintf("_nomad-task-%s-group-%s-%s-app", task.AllocID, task.TaskGroupName, service(i)),
		Name: service(i), Address: "127.0.0.1", Port: n.app.Addr().(*net.TCPAddr).Port,
	}
	if err := n.consul.Agent().ServiceRegister(parent); err != nil {
		return err
	}
	h, _, err := n.driver.StartTask(task)
	if err != nil {
		return fmt.Errorf("start task %d: %w", i, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tasks[task.ID] = h
	return nil
}

func service(i int) string { return fmt.Sprintf("app-%d", i) }

// meshPort is where a sidecar listens for peers.
func meshPort(i int) int { return 20000 + i }

// task is one as Nomad's agent describes it.
func (n *node) task(i int) (*drivers.TaskConfig, error) {
	alloc := fmt.Sprintf("alloc-%d", i)
	env := maps.Clone(n.env)
	env[fake.ListenerVariable] = fmt.Sprintf("127.0.0.1:%d", meshPort(i)) // where peers are told to come
	task := &drivers.TaskConfig{
		ID: alloc + "/proxy/1", AllocID: alloc, JobID: "scale", JobName: "scale", TaskGroupName: "g", Name: "proxy",
		Namespace: "default", NodeID: "node", NodeName: "node",
		AllocDir: filepath.Join(n.dir, alloc),
		User:     fmt.Sprintf("nomad-%d", 80000+i),
		Env:      env,
		Resources: &drivers.Resources{
			Ports:          &structs.AllocatedPorts{{Label: "mesh", Value: meshPort(i), HostIP: "127.0.0.1"}},
			LinuxResources: &drivers.LinuxResources{CpusetCgroupPath: n.groups.of(alloc, "proxy")},
		},
		StdoutPath: os.DevNull, StderrPath: os.DevNull,
	}
	for _, dir := range []string{task.TaskDir().SecretsDir, task.TaskDir().LocalDir, task.TaskDir().SharedAllocDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return task, task.EncodeConcreteDriverConfig(map[string]any{
		"service":         service(i),
		"sidecar_service": map[string]any{"port": "mesh"},
	})
}

// awaitServing waits until peers may come to so many sidecars.
func (n *node) awaitServing(count int, limit time.Duration) {
	n.t.Helper()
	within(n.t, limit, func() error {
		checks, err := n.consul.Agent().ChecksWithFilter(`Status == "passing"`)
		if err != nil {
			return err
		}
		ready := 0
		for id := range checks {
			if strings.HasSuffix(id, ":ready") {
				ready++
			}
		}
		if ready != count {
			return fmt.Errorf("%d of %d sidecars are ready", ready, count)
		}
		return nil
	})
}

// recover gives the plugin its tasks back, one after the other, as Nomad does.
func (n *node) recover() {
	n.t.Helper()
	n.each(1, func(_ string, h *drivers.TaskHandle) error { return n.driver.RecoverTask(h) })
}

// awaitPhase waits until the plugin says of all tasks that they serve.
func (n *node) awaitPhase(phase string, limit time.Duration) {
	n.t.Helper()
	n.each(8, func(id string, _ *drivers.TaskHandle) error {
		deadline := time.Now().Add(limit)
		for {
			status, err := n.driver.InspectTask(id)
			if err != nil {
				return err
			}
			if status.DriverAttributes["phase"] == phase {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("task %s is %s", id, status.DriverAttributes["phase"])
			}
			<-time.Tick(20 * time.Millisecond)
		}
	})
}

// within waits for a condition.
func within(t testing.TB, limit time.Duration, condition func() error) {
	t.Helper()
	deadline := time.After(limit)
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.Tick(100 * time.Millisecond):
		}
	}
}
