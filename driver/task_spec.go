package driver

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/mesh"
	"nomad-driver-connect/process"
)

const (
	defaultReadyTimeout = 30 * time.Second
	defaultDrainTimeout = 10 * time.Minute // as Envoy leaves by itself
	defaultLogLevel     = "info"

	// runDirName is the sidecar's directory below the task's secrets.
	runDirName = "connect"
)

// node is what a task's specification takes from the node it runs on.
type node struct {
	config  PluginConfig
	environ environ
	machine machine
	version string // of this driver
	root    bool   // the agent is root, and can run a proxy as another user
	compute cpustats.Compute
}

// taskSpec makes the specification of a proxy from what Nomad and the job
// author say. An *sidecar.InvalidError names the field that is wrong.
func taskSpec(task *drivers.TaskConfig, config TaskConfig, n node) (proxySpec, error) {
	kind, err := kindOf(config)
	if err != nil {
		return proxySpec{}, err
	}
	allowed, err := n.allow()
	if err != nil {
		return proxySpec{}, err
	}
	if err := allowed.judge(config); err != nil {
		return proxySpec{}, err
	}
	spec := proxySpec{Consul: consulSettings(n.environ, n.config.Consul, config.Consul)}
	if err := placeToken(&spec.Consul, task); err != nil {
		return proxySpec{}, err
	}
	if spec.roles, err = kind.roles(task, config, n); err != nil {
		return proxySpec{}, err
	}
	defaults, err := config.NodeMeta.over(envoyDefaults{workers: defaultWorkers(task, n.compute), logLevel: defaultLogLevel})
	if err != nil {
		return proxySpec{}, err
	}
	if spec.Envoy, err = envoySettings(n.config.Envoy, config.Envoy, defaults); err != nil {
		return proxySpec{}, err
	}
	if spec.Life.ReadyTimeout, err = readyTimeout(n.config.Ready, config.Ready); err != nil {
		return proxySpec{}, err
	}
	if spec.Life.DrainTimeout, err = drainTimeout(n.config.Drain, config.Drain); err != nil {
		return proxySpec{}, err
	}
	spec.Envoy.DrainTimeout = spec.Life.DrainTimeout
	user, err := n.user(users{job: orZero(config.Envoy).User, task: task.User, operator: orZero(n.config.Envoy).User}, allowed)
	if err != nil {
		return proxySpec{}, err
	}
	spec.Life.Run = runSettings(task, user)
	spec.Life.Run.Sockets, err = socketDirs(task, orZero(config.SidecarService).Proxy)
	return spec, err
}

// allow is what the operator leaves to jobs. That it has become wrong, as when a user of
// the machine is gone, is no fault of the job's.
func (n node) allow() (allow, error) {
	allowed, err := newAllow(n.config.Allow, machineAccounts)
	if err != nil {
		return allowed, fmt.Errorf("plugin config: %v", err) //nolint:errorlint // what is final is the job's mistake
	}
	return allowed, nil
}

// user finds whom the proxy runs as. An agent that is not root cannot switch and runs
// everything as itself.
func (n node) user(say users, allowed allow) (process.User, error) {
	if !n.root {
		return process.User{Name: cmp.Or(say.job, say.task, say.operator)}, nil
	}
	return allowed.runAs(say, machineAccounts)
}

// inNamespace tells that the allocation has a network namespace of its own.
func inNamespace(task *drivers.TaskConfig) bool {
	return task.NetworkIsolation != nil && task.NetworkIsolation.Mode == drivers.NetIsolationModeGroup
}

// network is the namespace of the task's allocation; empty for that of the host.
func network(task *drivers.TaskConfig) process.Network {
	if !inNamespace(task) {
		return ""
	}
	return process.Network(task.NetworkIsolation.Path)
}

// groupServicePrefix is what the IDs begin with under which Nomad registers the
// services of an allocation's group in Consul.
func groupServicePrefix(task *drivers.TaskConfig) string {
	return fmt.Sprintf("_nomad-task-%s-group-%s-", task.AllocID, task.TaskGroupName)
}

// Keys of the meta by which a sidecar that was left behind is told.
const (
	metaHost    = "connect-driver-host"
	metaNodeID  = "nomad-node-id"
	metaAllocID = "nomad-alloc-id"
	metaTask    = mesh.MetaTask
	metaBoot    = mesh.MetaBootID
)

// meta says in Consul who registered the sidecar, and what the user adds.
func meta(task *drivers.TaskConfig, user map[string]string, n node) map[string]string {
	m := map[string]string{
		metaNodeID:               task.NodeID,
		"nomad-namespace":        task.Namespace,
		"nomad-job":              task.JobID,
		"nomad-group":            task.TaskGroupName,
		metaTask:                 task.Name,
		metaAllocID:              task.AllocID,
		metaHost:                 n.machine.host,
		"connect-driver-version": n.version,
	}
	if n.machine.boot != "" {
		m[metaBoot] = n.machine.boot
	}
	for key, value := range user {
		if _, ours := m[key]; !ours { // whose it is decides who may remove it
			m[key] = value
		}
	}
	return m
}

// statsTags are those that Nomad's own Connect gives its sidecars.
func statsTags(task *drivers.TaskConfig) []string {
	return []string{
		"nomad.alloc_id=" + task.AllocID,
		"nomad.group=" + task.TaskGroupName,
		"nomad.job=" + task.JobID,
		"nomad.namespace=" + task.Namespace,
	}
}

func runDir(task *drivers.TaskConfig) string {
	return filepath.Join(task.TaskDir().SecretsDir, runDirName)
}
