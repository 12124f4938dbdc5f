package parity

import "github.com/hashicorp/consul/api"

// Services are registered with every agent.
func Services() []*api.AgentServiceRegistration {
	proxy := func(id, name, service, serviceID string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{
			Kind: api.ServiceKindConnectProxy, ID: id, Name: name, Port: 21000,
			Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: service, DestinationServiceID: serviceID},
		}
	}
	gateway := func(kind api.ServiceKind, id, name string) *api.AgentServiceRegistration {
		return &api.AgentServiceRegistration{Kind: kind, ID: id, Name: name, Port: 8443}
	}
	return []*api.AgentServiceRegistration{
		{ID: "web", Name: "web", Port: 8080},
		Sidecar(nil),
		{ID: "api-1", Name: "api", Port: 8081},
		proxy("api-1-sidecar-proxy", "api-sidecar-proxy", "api", "api-1"),
		{ID: "db", Name: "db", Port: 5432},
		proxy("db-first", "db-sidecar-proxy", "db", "db"),
		proxy("db-second", "db-sidecar-proxy", "db", "db"),
		gateway(api.ServiceKindMeshGateway, "mgw-1", "edge"),
		gateway(api.ServiceKindIngressGateway, "igw-1", "entrance"),
		gateway(api.ServiceKindTerminatingGateway, "tgw-1", "exit"),
		gateway(api.ServiceKindTerminatingGateway, "tgw-2", "exit"),
	}
}

// Sidecar is the proxy of most cases, with their config.
func Sidecar(config map[string]any) *api.AgentServiceRegistration {
	return &api.AgentServiceRegistration{
		Kind: api.ServiceKindConnectProxy, ID: "web-sidecar-proxy", Name: "web-sidecar-proxy", Port: 21000,
		Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: "web", DestinationServiceID: "web", Config: config},
	}
}
