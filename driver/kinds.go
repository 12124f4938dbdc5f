package driver

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/mesh"
	"nomad-driver-connect/sidecar"
)

// kind is a kind of task. Nothing outside of this file and wire.go knows that there
// are any.
type kind struct {
	block string // of the config: it says that the task is of the kind
	given func(TaskConfig) bool
	roles func(*drivers.TaskConfig, TaskConfig, node) (roles, error)
}

// kinds are all of them. The last one is meant when there is no block.
func kinds() []kind {
	return []kind{
		{"sidecar_service", func(c TaskConfig) bool { return c.SidecarService != nil }, sidecarRoles},
		{"gateway", func(c TaskConfig) bool { return c.Gateway != nil }, gatewayRoles},
		{"bootstrap", func(c TaskConfig) bool { return c.Bootstrap != nil }, externalRoles},
	}
}

// kindOf finds the one that the blocks of a config say. None at all means Nomad's
// own Connect, which cannot write into the config.
func kindOf(config TaskConfig) (kind, error) {
	var found []kind
	var blocks []string
	all := kinds()
	for _, k := range all {
		if k.given(config) {
			found, blocks = append(found, k), append(blocks, k.block)
		}
	}
	switch len(found) {
	case 0:
		return all[len(all)-1], nil
	case 1:
		return found[0], nil
	}
	return kind{}, sidecar.Invalidf("config", "has the blocks %s; exactly one of them says what the task is", strings.Join(blocks, " and "))
}

// sidecarRoles are those of a sidecar that the driver registers.
func sidecarRoles(task *drivers.TaskConfig, config TaskConfig, n node) (roles, error) {
	if inNamespace(task) {
		return roles{}, sidecar.Invalidf("sidecar_service",
			"group %q has a network namespace of its own (bridge or cni), and sidecar_service is for host networking: set network { mode = \"host\" }, or let Nomad's own Connect write the proxy's bootstrap with connect { sidecar_task { driver = \"connect\" config { bootstrap {} } } }",
			task.TaskGroupName)
	}
	if config.Service == "" {
		return roles{}, sidecar.Invalidf("service", "is missing; it names the group's service that the sidecar stands before")
	}
	ports := groupPorts(task)
	s := config.SidecarService
	listener, err := ports.get("sidecar_service.port", s.Port)
	if err != nil {
		return roles{}, err
	}
	reg := mesh.Registration{Service: config.Service, Listener: listener, Tags: s.Tags, Meta: meta(task, s.Meta, n)}
	if reg.Proxy, err = proxySettings(s, ports, listener, task); err != nil {
		return roles{}, err
	}
	reg.Namespace, reg.Partition = consulNames(n, config)
	return roles{Own: &reg}, setParent(&reg, task, config)
}

func setParent(reg *mesh.Registration, task *drivers.TaskConfig, config TaskConfig) error {
	if !config.SidecarService.Standalone {
		reg.Parent = &mesh.Parent{IDPrefix: groupServicePrefix(task), PortLabel: config.ServicePort}
		return nil
	}
	if config.ServicePort != "" {
		return sidecar.Invalidf("service_port", "cannot go with standalone = true: a standalone sidecar stands before no service")
	}
	p := reg.Proxy
	if p.LocalServiceAddress != "" || p.LocalServicePort != 0 || p.LocalServiceSocketPath != "" {
		return sidecar.Invalidf("sidecar_service.proxy", "local_service_* cannot go with standalone = true: a standalone sidecar stands before no service")
	}
	// Nomad removes services it does not know whose IDs begin with _nomad.
	reg.StandaloneID = fmt.Sprintf("connect-%s-%s-%s-sidecar-proxy", task.AllocID, task.TaskGroupName, config.Service)
	return nil
}

func gatewayRoles(*drivers.TaskConfig, TaskConfig, node) (roles, error) {
	return roles{}, sidecar.Invalidf("gateway", "is not supported by version %s of this driver; sidecar_service and bootstrap are", Version)
}

// externalRoles are those of a proxy whose bootstrap somebody else wrote. That file also
// says who has registered the proxy (addMember).
func externalRoles(task *drivers.TaskConfig, config TaskConfig, _ node) (roles, error) {
	if config.Bootstrap == nil && config.Service != "" {
		return roles{}, sidecar.Invalidf("config", "says nothing of what the task is; give it a sidecar_service block")
	}
	if config.Service != "" || config.ServicePort != "" {
		return roles{}, sidecar.Invalidf("service", "goes with sidecar_service only: which service a proxy stands for is in its bootstrap")
	}
	path := orZero(config.Bootstrap).Path
	if path == "" {
		path = filepath.Join(task.TaskDir().SecretsDir, nomadBootstrap)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(task.TaskDir().Dir, path)
	}
	return roles{External: filepath.Clean(path)}, nil
}
