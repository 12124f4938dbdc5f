package driver

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/nomad/client/lib/cpustats"
	"github.com/hashicorp/nomad/plugins/drivers"

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

// taskSpec makes the specification of a sidecar from what Nomad and the job
// author say. An *sidecar.InvalidError names the field that is wrong.
func taskSpec(task *drivers.TaskConfig, config TaskConfig, n node) (sidecar.Spec, error) {
	if err := oneBlock(config); err != nil {
		return sidecar.Spec{}, err
	}
	if task.NetworkIsolation != nil && task.NetworkIsolation.Mode == drivers.NetIsolationModeGroup {
		return sidecar.Spec{}, sidecar.Invalidf("sidecar_service",
			"group %q has a network namespace of its own (bridge or cni), and sidecar_service is for host networking: set network { mode = \"host\" }, or let Nomad's own Connect write the proxy's bootstrap with connect { sidecar_task { driver = \"connect\" } }",
			task.TaskGroupName)
	}
	if config.Service == "" {
		return sidecar.Spec{}, sidecar.Invalidf("service", "is missing; it names the group's service that the sidecar stands before")
	}
	ports := groupPorts(task)
	s := config.SidecarService
	listener, err := ports.get("sidecar_service.port", s.Port)
	if err != nil {
		return sidecar.Spec{}, err
	}
	proxy, err := proxySettings(s, ports, listener, task)
	if err != nil {
		return sidecar.Spec{}, err
	}
	spec := sidecar.Spec{
		Service:  config.Service,
		Listener: listener,
		Tags:     s.Tags,
		Meta:     meta(task, s.Meta, n.version),
		Proxy:    proxy,
		Consul:   consulSettings(n.environ, n.config.Consul, config.Consul),
	}
	if err := setParent(&spec, task, config); err != nil {
		return sidecar.Spec{}, err
	}
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

// oneBlock checks that exactly one block says what the task is.
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
	case len(given) == 0:
		return sidecar.Invalidf("config", "says nothing of what the task is; give it a sidecar_service block")
	case len(given) > 1:
		return sidecar.Invalidf("config", "has the blocks %s; exactly one of them says what the task is", strings.Join(given, " and "))
	case config.SidecarService == nil:
		return sidecar.Invalidf(given[0], "is not supported by version %s of this driver; sidecar_service is", Version)
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
