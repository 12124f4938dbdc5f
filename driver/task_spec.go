package driver

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

const (
	defaultReadyTimeout = 30 * time.Second
	defaultConcurrency  = 1 // as Nomad's own Connect
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
		Service:         config.Service,
		Listener:        listener,
		Tags:            s.Tags,
		Meta:            meta(task, s.Meta, n.version),
		Proxy:           proxy,
		DisableTCPCheck: s.DisableDefaultTCPCheck,
		Consul:          consulSettings(n.environ, n.config.Consul, config.Consul),
	}
	if err := setParent(&spec, task, config); err != nil {
		return sidecar.Spec{}, err
	}
	if spec.Envoy, err = envoySettings(n.config.Envoy, config.Envoy); err != nil {
		return sidecar.Spec{}, err
	}
	if spec.ReadyTimeout, err = readyTimeout(n.config.Ready, config.Ready); err != nil {
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

// meta says in Consul who registered the sidecar; the user's own comes on top.
func meta(task *drivers.TaskConfig, user map[string]string, version string) map[string]string {
	m := map[string]string{
		"nomad-node-id":          task.NodeID,
		"nomad-namespace":        task.Namespace,
		"nomad-job":              task.JobID,
		"nomad-group":            task.TaskGroupName,
		"nomad-task":             task.Name,
		"nomad-alloc-id":         task.AllocID,
		"connect-driver-version": version,
	}
	maps.Copy(m, user)
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

// ports are the ports of the task's group, by label.
type ports struct {
	group   string
	byLabel map[string]sidecar.Port
}

func groupPorts(task *drivers.TaskConfig) ports {
	p := ports{group: task.TaskGroupName, byLabel: map[string]sidecar.Port{}}
	if task.Resources == nil || task.Resources.Ports == nil {
		return p
	}
	for _, mapping := range *task.Resources.Ports {
		p.byLabel[mapping.Label] = sidecar.Port{Label: mapping.Label, Address: mapping.HostIP, Number: mapping.Value}
	}
	return p
}

// get finds a port by its label; field is where the user wrote the label.
func (p ports) get(field, label string) (sidecar.Port, error) {
	if port, ok := p.byLabel[label]; ok {
		return port, nil
	}
	labels := "it has no ports"
	if len(p.byLabel) > 0 {
		labels = "it has: " + strings.Join(slices.Sorted(maps.Keys(p.byLabel)), ", ")
	}
	if label == "" {
		return sidecar.Port{}, sidecar.Invalidf(field, "is missing; it is the label of a port in the network block of group %q (%s)", p.group, labels)
	}
	return sidecar.Port{}, sidecar.Invalidf(field, "%q is not the label of a port in the network block of group %q (%s)", label, p.group, labels)
}

// portInRange checks a port that the user gave as a number.
func portInRange(field string, number int) error {
	if number < 1 || number > 65535 {
		return sidecar.Invalidf(field, "%d is not a port; it is a number from 1 to 65535", number)
	}
	return nil
}

func oneOf(field, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return sidecar.Invalidf(field, "%q is unknown; it is one of %s", value, strings.Join(allowed, ", "))
}

func ipAddress(field, value string) error {
	if value == "" {
		return nil
	}
	if _, err := netip.ParseAddr(value); err != nil {
		return sidecar.Invalidf(field, "%q is not an IP address", value)
	}
	return nil
}

// proxySettings is the part of the registration that users shape freely.
func proxySettings(s *SidecarService, ports ports, listener sidecar.Port, task *drivers.TaskConfig) (api.AgentServiceConnectProxyConfig, error) {
	const field = "sidecar_service.proxy"
	p := s.Proxy
	if p == nil {
		p = &Proxy{}
	}
	out := api.AgentServiceConnectProxyConfig{
		LocalServiceAddress:    p.LocalServiceAddress,
		LocalServicePort:       p.LocalServicePort,
		LocalServiceSocketPath: p.LocalServiceSocketPath,
	}
	if p.LocalServicePort != 0 {
		if err := portInRange(field+".local_service_port", p.LocalServicePort); err != nil {
			return out, err
		}
	}
	if p.LocalServiceSocketPath != "" && (p.LocalServicePort != 0 || p.LocalServiceAddress != "") {
		return out, sidecar.Invalidf(field, "local_service_socket_path cannot go with local_service_address and local_service_port")
	}
	if err := ipAddress(field+".local_service_address", p.LocalServiceAddress); err != nil {
		return out, err
	}
	var err error
	if out.Config, err = proxyConfig(field+".config", p.Config, task); err != nil {
		return out, err
	}
	if out.MeshGateway, err = meshGateway(field, p.MeshGateway); err != nil {
		return out, err
	}
	if out.Expose, err = exposeSettings(field+".expose", p.Expose, ports); err != nil {
		return out, err
	}
	out.Upstreams, err = upstreams(field+".upstreams", p.Upstreams, ports, listener, runDir(task))
	return out, err
}

// proxyConfig takes the free-form object (the schema language wraps it in a
// list) and adds what Nomad's own Connect adds.
func proxyConfig(field string, value any, task *drivers.TaskConfig) (map[string]any, error) {
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	config, ok := value.(map[string]any)
	if value != nil && !ok {
		return nil, sidecar.Invalidf(field, "an object is expected, got %T", value)
	}
	config = maps.Clone(config)
	if config == nil {
		config = map[string]any{}
	}
	if config["envoy_stats_tags"] == nil {
		config["envoy_stats_tags"] = statsTags(task)
	}
	return config, nil
}

func meshGateway(field string, m *MeshGateway) (api.MeshGatewayConfig, error) {
	if m == nil {
		return api.MeshGatewayConfig{}, nil
	}
	err := oneOf(field+".mesh_gateway.mode", m.Mode, "none", "local", "remote")
	return api.MeshGatewayConfig{Mode: api.MeshGatewayMode(m.Mode)}, err
}

func exposeSettings(field string, e *Expose, ports ports) (api.ExposeConfig, error) {
	var out api.ExposeConfig
	if e == nil {
		return out, nil
	}
	for i, path := range e.Paths {
		at := fmt.Sprintf("%s.path[%d]", field, i)
		if !strings.HasPrefix(path.Path, "/") {
			return out, sidecar.Invalidf(at+".path", "%q does not begin with /", path.Path)
		}
		if err := oneOf(at+".protocol", path.Protocol, "http", "http2"); err != nil {
			return out, err
		}
		if err := portInRange(at+".local_path_port", path.LocalPathPort); err != nil {
			return out, err
		}
		port, err := ports.get(at+".listener_port", path.ListenerPort)
		if err != nil {
			return out, err
		}
		out.Paths = append(out.Paths, api.ExposePath{
			Path: path.Path, Protocol: path.Protocol, LocalPathPort: path.LocalPathPort, ListenerPort: port.Number,
		})
	}
	return out, nil
}

func runDir(task *drivers.TaskConfig) string {
	return filepath.Join(task.TaskDir().SecretsDir, runDirName)
}
