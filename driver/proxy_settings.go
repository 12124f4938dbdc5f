package driver

import (
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// proxySettings is the part of the registration that users shape freely.
func proxySettings(s *SidecarService, ports ports, listener sidecar.Port, task *drivers.TaskConfig) (api.AgentServiceConnectProxyConfig, error) {
	const field = "sidecar_service.proxy"
	p := s.Proxy
	if p == nil {
		p = &Proxy{}
	}
	out := api.AgentServiceConnectProxyConfig{
		LocalServiceAddress: p.LocalServiceAddress,
		LocalServicePort:    p.LocalServicePort,
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
	if p.LocalServiceSocketPath != "" {
		if out.LocalServiceSocketPath, err = socketPath(field+".local_service_socket_path", p.LocalServiceSocketPath, runDir(task), maxSocketPath-len("/proc/4194304/cwd/")); err != nil {
			return out, err
		}
	}
	if out.Config, err = proxyConfig(field+".config", p.Config, task); err != nil {
		return out, err
	}
	if out.MeshGateway, err = meshGateway(field, p.MeshGateway); err != nil {
		return out, err
	}
	taken := claims{{where: listener, by: "the public listener"}}
	if out.Expose, taken, err = exposeSettings(field+".expose", p.Expose, ports, taken); err != nil {
		return out, err
	}
	out.Upstreams, err = upstreams(field+".upstreams", p.Upstreams, ports, taken, runDir(task))
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
	if config["bind_port"] != nil {
		return nil, sidecar.Invalidf(field+".bind_port", "cannot be given: sidecar_service.port says where the public listener is")
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

func exposeSettings(field string, e *Expose, ports ports, taken claims) (api.ExposeConfig, claims, error) {
	var out api.ExposeConfig
	if e == nil {
		return out, taken, nil
	}
	public := taken[0].where
	for i, path := range e.Paths {
		at := fmt.Sprintf("%s.path[%d]", field, i)
		if !strings.HasPrefix(path.Path, "/") {
			return out, nil, sidecar.Invalidf(at+".path", "%q does not begin with /", path.Path)
		}
		if err := oneOf(at+".protocol", path.Protocol, "http", "http2"); err != nil {
			return out, nil, err
		}
		if err := portInRange(at+".local_path_port", path.LocalPathPort); err != nil {
			return out, nil, err
		}
		port, err := ports.get(at+".listener_port", path.ListenerPort)
		if err != nil {
			return out, nil, err
		}
		port.Address = public.Address // Consul has Envoy listen there
		if taken, err = taken.add(at+".listener_port", claim{where: port, by: fmt.Sprintf("the exposed path %q", path.Path)}); err != nil {
			return out, nil, err
		}
		out.Paths = append(out.Paths, api.ExposePath{
			Path: path.Path, Protocol: path.Protocol, LocalPathPort: path.LocalPathPort, ListenerPort: port.Number,
		})
	}
	return out, taken, nil
}
