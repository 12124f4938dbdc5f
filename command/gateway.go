package command

import (
	"cmp"
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"
)

// metaFederation marks a mesh gateway that leads to the Consul servers.
const metaFederation = "consul-wan-federation"

// registration is what -register tells Consul of a gateway. A gateway without
// an address of its own is on the agent's machine, at loopback.
func (o *bootstrapOptions) registration(proxyID, loopback string) (*api.AgentServiceRegistration, error) {
	lan, wan := o.address.value(), o.wanAddress.value()
	config, err := o.gatewayConfig(lan, wan)
	if err != nil {
		return nil, err
	}
	reg := &api.AgentServiceRegistration{
		Kind: o.kind, ID: proxyID, Name: o.service,
		Address: lan.Address, Port: lan.Port,
		TaggedAddresses: map[string]api.ServiceAddress{},
	}
	if config != nil {
		reg.Proxy = &api.AgentServiceConnectProxyConfig{Config: config}
	}
	if lan.Address != "" {
		reg.TaggedAddresses["lan"] = lan
	}
	if wan.Address != "" {
		reg.TaggedAddresses["wan"] = wan
	}
	if o.exposeServers {
		reg.Meta = map[string]string{metaFederation: "1"}
	}
	if o.kind != api.ServiceKindAPIGateway { // which listens nowhere by itself
		reg.Check = &api.AgentServiceCheck{
			Name:                           string(o.kind) + " listening",
			TCP:                            net.JoinHostPort(cmp.Or(lan.Address, loopback), strconv.Itoa(lan.Port)),
			Interval:                       "10s",
			DeregisterCriticalServiceAfter: o.deregisterAfter,
		}
	}
	return reg, nil
}

// gatewayConfig says where the gateway listens: where the user says, else at
// both of its addresses when it can, else where Consul puts it.
func (o *bootstrapOptions) gatewayConfig(lan, wan api.ServiceAddress) (map[string]any, error) {
	switch {
	case len(o.bindAddresses) > 0:
		return map[string]any{
			"envoy_gateway_no_default_bind": true,
			"envoy_gateway_bind_addresses":  o.bindAddresses,
		}, nil
	case isLocal(lan.Address) && isLocal(wan.Address):
		return map[string]any{
			"envoy_gateway_no_default_bind":       true,
			"envoy_gateway_bind_tagged_addresses": true,
		}, nil
	case lan.Address != "" && !isLocal(lan.Address):
		return nil, fmt.Errorf("-address: %q is no address of this machine, so nothing can listen there; say with -bind-address where the gateway listens", lan.Address)
	}
	return nil, nil
}

// isLocal tells whether a network interface of this machine has the address.
func isLocal(address string) bool {
	ip := net.ParseIP(address)
	known, err := net.InterfaceAddrs()
	if ip == nil || err != nil {
		return false
	}
	for _, addr := range known {
		if network, ok := addr.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}
