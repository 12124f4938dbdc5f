package hook

import (
	"maps"
	"net/netip"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// configure fills in the task's config: what the connect block says, in the
// words of this driver.
func (s *service) configure() error {
	sidecar := s.Connect.SidecarService
	block := map[string]any{"port": sidecar.Port}
	put(block, "tags", sidecar.Tags)
	put(block, "meta", sidecar.Meta)
	if sidecar.DisableDefaultTCPCheck {
		block["disable_default_tcp_check"] = true
	}
	proxy, err := s.proxyConfig(block)
	if err != nil {
		return err
	}
	if len(proxy) > 0 {
		block["proxy"] = proxy
	}
	config := s.task.Config
	config["sidecar_service"] = escape(block)
	setDefault(config, "service", any(s.name))
	if err := s.tellApart(config); err != nil {
		return err
	}
	return s.inConsul(config)
}

// tellApart says which of several services of that name is meant.
func (s *service) tellApart(config map[string]any) error {
	twins := s.twins()
	if len(twins) == 0 {
		return nil
	}
	for _, twin := range twins {
		if twin.PortLabel == s.PortLabel || twin.PortLabel == "" {
			return s.refuse("another service of the group has that name, and only ports tell them apart; give each a port of its own, or another name")
		}
	}
	if s.PortLabel == "" {
		return s.refuse("another service of the group has that name, and only ports tell them apart; give this one a port")
	}
	setDefault(config, "service_port", any(s.PortLabel))
	return nil
}

// inConsul names the namespace and partition of Consul Enterprise that Nomad
// registers the service in.
func (s *service) inConsul(config map[string]any) error {
	cluster, block := s.Cluster, map[string]any{}
	if c := s.group.Consul; c != nil {
		set(&cluster, c.Cluster)
		put(block, "partition", c.Partition)
		put(block, "namespace", c.Namespace)
	}
	if namespace := deref(s.group.job.ConsulNamespace); namespace != "" {
		setDefault(block, "namespace", any(namespace))
	}
	if cluster != "" && cluster != "default" {
		return s.refuse("it is of the Consul cluster %q, and the driver knows one Consul for a node; leave the cluster out", cluster)
	}
	if len(block) > 0 {
		setDefault(config, "consul", any(block))
	}
	return nil
}

// proxyConfig is the proxy block of the sidecar's block. A service without a
// port cannot be reached: its sidecar is that of a client alone.
func (s *service) proxyConfig(sidecar map[string]any) (map[string]any, error) {
	p := s.proxy()
	block := map[string]any{}
	if p.LocalServicePort < 0 || p.LocalServicePort > maxPort {
		return nil, s.refuse("local_service_port = %d is not a port; it is a number from 1 to %d", p.LocalServicePort, maxPort)
	}
	if err := checkAddress("local_service_address", p.LocalServiceAddress); err != nil {
		return nil, s.refuse("%w", err)
	}
	if s.PortLabel == "" && p.LocalServicePort == 0 {
		sidecar["standalone"] = true
	} else {
		put(block, "local_service_address", s.localAddress(p))
		if number := s.appPort(); number > 0 {
			block["local_service_port"] = number
		}
	}
	config := maps.Clone(p.Config)
	delete(config, "bind_port") // Nomad sets it, whatever a job says, and the driver does
	if len(config) > 0 {
		block["config"] = config
	}
	if len(s.paths) > 0 {
		block["expose"] = map[string]any{"path": s.paths.config()}
	}
	var upstreams []any
	for _, u := range p.Upstreams {
		upstream, err := s.upstream(u)
		if err != nil {
			return nil, err
		}
		upstreams = append(upstreams, upstream)
	}
	put(block, "upstreams", upstreams)
	return block, nil
}

// localAddress is where the sidecar finds the app: on loopback as under Nomad's
// own Connect, unless the service's port is on a host network of its own.
func (s *service) localAddress(p *api.ConsulProxy) string {
	if p.LocalServiceAddress != "" {
		return p.LocalServiceAddress
	}
	port, _ := s.group.ports.get(s.PortLabel)
	switch port.HostNetwork {
	case "", "default", "loopback":
		return localhost
	}
	return "" // the driver takes the address that the service is registered with
}

// checkAddress takes IP addresses, and what is known only when the job runs.
func checkAddress(field, value string) error {
	if value == "" || strings.Contains(value, "${") {
		return nil
	}
	if _, err := netip.ParseAddr(value); err != nil {
		return &addressError{field, value}
	}
	return nil
}
