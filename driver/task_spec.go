package driver

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

const (
	defaultReadyTimeout = 30 * time.Second
	defaultDrainTimeout = 30 * time.Second
	defaultLogLevel     = "info"

	// runDirName is the sidecar's directory below the task's secrets.
	runDirName = "connect"
)

// node is what a task's specification takes from the node it runs on.
type node struct {
	config  PluginConfig
	environ environ
	version string // of this driver
	root    bool   // the agent is root, and can run a proxy as another user
	compute cpustats.Compute
}

// taskSpec makes the specification of a proxy from what Nomad and the job
// author say. An *sidecar.InvalidError names the field that is wrong.
func taskSpec(task *drivers.TaskConfig, config TaskConfig, n node) (sidecar.Spec, error) {
	if err := oneBlock(config); err != nil {
		return sidecar.Spec{}, err
	}
	spec := sidecar.Spec{Consul: consulSettings(n.environ, n.config.Consul, config.Consul)}
	kind := setSidecarService
	if config.SidecarService == nil {
		kind = setBootstrap
	}
	if err := kind(&spec, task, config, n); err != nil {
		return sidecar.Spec{}, err
	}
	var err error
	if spec.Envoy, err = envoySettings(n.config.Envoy, config.Envoy, defaultWorkers(task, n.compute)); err != nil {
		return sidecar.Spec{}, err
	}
	if spec.ReadyTimeout, err = readyTimeout(n.config.Ready, config.Ready); err != nil {
		return sidecar.Spec{}, err
	}
	if spec.DrainTimeout, err = drainTimeout(n.config.Drain, config.Drain); err != nil {
		return sidecar.Spec{}, err
	}
	spec.Run, err = runSettings(task, n.config.Envoy, config.Envoy, n.root)
	return spec, err
}

// setSidecarService adds what a sidecar is that the driver registers.
func setSidecarService(spec *sidecar.Spec, task *drivers.TaskConfig, config TaskConfig, n node) error {
	if inNamespace(task) {
		return sidecar.Invalidf("sidecar_service",
			"group %q has a network namespace of its own (bridge or cni), and sidecar_service is for host networking: set network { mode = \"host\" }, or let Nomad's own Connect write the proxy's bootstrap with connect { sidecar_task { driver = \"connect\" config { bootstrap {} } } }",
			task.TaskGroupName)
	}
	if config.Service == "" {
		return sidecar.Invalidf("service", "is missing; it names the group's service that the sidecar stands before")
	}
	ports := groupPorts(task)
	s := config.SidecarService
	var err error
	if spec.Listener, err = ports.get("sidecar_service.port", s.Port); err != nil {
		return err
	}
	if spec.Proxy, err = proxySettings(s, ports, spec.Listener, task); err != nil {
		return err
	}
	spec.Service, spec.Tags, spec.Meta = config.Service, s.Tags, meta(task, s.Meta, n.version)
	return setParent(spec, task, config)
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

// oneBlock checks that no two blocks say what the task is. None at all means
// Nomad's own Connect, which cannot write into the config.
func oneBlock(config TaskConfig) error {
	var given []string
	if config.SidecarService != nil {
		given = append(given, "sidecar_service")
	}
	if config.Gateway != nil {
		given = append(given, "gateway")
	}
	if config.Bootstrap != nil {
		given = append(given, "bootstrap")
	}
	switch {
	case len(given) > 1:
		return sidecar.Invalidf("config", "has the blocks %s; exactly one of them says what the task is", strings.Join(given, " and "))
	case config.Gateway != nil:
		return sidecar.Invalidf("gateway", "is not supported by version %s of this driver; sidecar_service and bootstrap are", Version)
	}
	return nil
}

// groupServicePrefix is what the IDs begin with under which Nomad registers the
// services of an allocation's group in Consul.
func groupServicePrefix(task *drivers.TaskConfig) string {
	return fmt.Sprintf("_nomad-task-%s-group-%s-", task.AllocID, task.TaskGroupName)
}

func setParent(spec *sidecar.Spec, task *drivers.TaskConfig, config TaskConfig) error {
	if !config.SidecarService.Standalone {
		spec.Parent = &sidecar.Parent{IDPrefix: groupServicePrefix(task), PortLabel: config.ServicePort}
		return nil
	}
	if config.ServicePort != "" {
		return sidecar.Invalidf("service_port", "cannot go with standalone = true: a standalone sidecar stands before no service")
	}
	p := spec.Proxy
	if p.LocalServiceAddress != "" || p.LocalServicePort != 0 || p.LocalServiceSocketPath != "" {
		return sidecar.Invalidf("sidecar_service.proxy", "local_service_* cannot go with standalone = true: a standalone sidecar stands before no service")
	}
	// Nomad removes services it does not know whose IDs begin with _nomad.
	spec.StandaloneID = fmt.Sprintf("connect-%s-%s-%s-sidecar-proxy", task.AllocID, task.TaskGroupName, config.Service)
	return nil
}

// Keys of the meta by which a sidecar that was left behind is told.
const (
	metaNodeID  = "nomad-node-id"
	metaAllocID = "nomad-alloc-id"
	metaTask    = "nomad-task"
)

// meta says in Consul who registered the sidecar, and what the user adds.
func meta(task *drivers.TaskConfig, user map[string]string, version string) map[string]string {
	m := map[string]string{
		metaNodeID:               task.NodeID,
		"nomad-namespace":        task.Namespace,
		"nomad-job":              task.JobID,
		"nomad-group":            task.TaskGroupName,
		metaTask:                 task.Name,
		metaAllocID:              task.AllocID,
		"connect-driver-version": version,
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
