package mesh

import (
	"cmp"
	"net"
	"strconv"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/sidecar"
)

// placeOf is the place of a sidecar that is registered with a public listener and
// the settings of its proxy.
func placeOf(id, service string, listener sidecar.Port, proxy api.AgentServiceConnectProxyConfig) sidecar.Place {
	at := sidecar.Place{ID: id, Service: service, Public: public(listener, proxy)}
	at.Ports = listenPorts(at.Public, proxy)
	if proxy.DestinationServiceID != "" {
		at.App = app(proxy)
	}
	at.Outbound = len(proxy.Upstreams) > 0 || proxy.Mode == api.ProxyModeTransparent
	for _, u := range proxy.Upstreams {
		at.Upstreams = append(at.Upstreams, u.DestinationName)
	}
	return at
}

// public is where the proxy listens for peers.
func public(listener sidecar.Port, proxy api.AgentServiceConnectProxyConfig) sidecar.Port {
	if bind, ok := proxy.Config["bind_address"].(string); ok {
		listener.Address = bind
	}
	return listener
}

// listenPorts are those that the proxy will listen on.
func listenPorts(public sidecar.Port, proxy api.AgentServiceConnectProxyConfig) []sidecar.Port {
	ports := []sidecar.Port{public}
	for _, path := range proxy.Expose.Paths {
		ports = append(ports, sidecar.Port{Label: "expose " + path.Path, Address: public.Address, Number: path.ListenerPort})
	}
	for _, u := range proxy.Upstreams {
		if u.LocalBindSocketPath == "" {
			ports = append(ports, sidecar.Port{
				Label:   "upstream " + u.DestinationName,
				Address: cmp.Or(u.LocalBindAddress, loopback),
				Number:  u.LocalBindPort,
			})
		}
	}
	return ports
}

// app is where the local service accepts connections.
func app(proxy api.AgentServiceConnectProxyConfig) sidecar.Address {
	if proxy.LocalServiceSocketPath != "" {
		return sidecar.Address{Network: "unix", Address: proxy.LocalServiceSocketPath}
	}
	return sidecar.Address{Network: "tcp", Address: localAt(proxy.LocalServiceAddress, proxy.LocalServicePort)}
}

// localAt is where a service accepts connections, on loopback unless it says otherwise.
func localAt(address string, port int) string {
	return net.JoinHostPort(cmp.Or(address, loopback), strconv.Itoa(port))
}
