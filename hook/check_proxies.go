package hook

import (
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/nomad/api"
)

// proxy is a sidecar of this driver, as its task's config says.
type proxy struct {
	task       *api.Task
	service    string
	standalone bool // nobody comes in
	upstreams  []boundUpstream
	ready      string // ready.timeout
}

// boundUpstream is an upstream as the sidecar has it.
type boundUpstream struct {
	service     string // whose it is
	destination string
	label       string // of its port, if it has one
	number      string // else
	socket      string // else
}

func proxiesOf(g *api.TaskGroup) []proxy {
	var proxies []proxy
	for _, t := range g.Tasks {
		sidecars := blocks(t.Config["sidecar_service"])
		if t.Driver != driverName || len(sidecars) != 1 {
			continue
		}
		p := proxy{task: t, service: asText(t.Config["service"]), standalone: asText(sidecars[0]["standalone"]) == "true"}
		for _, ready := range blocks(t.Config["ready"]) {
			p.ready = asText(ready["timeout"])
		}
		for _, block := range blocks(sidecars[0]["proxy"]) {
			for _, u := range blocks(block["upstreams"]) {
				p.upstreams = append(p.upstreams, boundUpstream{
					service: p.service, destination: asText(u["destination_name"]), label: asText(u["port"]),
					number: asText(u["local_bind_port"]), socket: asText(u["local_bind_socket_path"]),
				})
			}
		}
		proxies = append(proxies, p)
	}
	return proxies
}

// upstreams are those of all sidecars of the group.
func (c *checked) upstreams() []boundUpstream {
	var all []boundUpstream
	for _, p := range c.proxies {
		all = append(all, p.upstreams...)
	}
	return all
}

// upstreamsByPort are those that are on a port of the group, by its label.
func (c *checked) upstreamsByPort() map[string]boundUpstream {
	found := map[string]boundUpstream{}
	for _, u := range c.upstreams() {
		if u.label != "" {
			found[u.label] = u
		}
	}
	return found
}

// place is where apps find an upstream, as far as the job says it.
func (c *checked) place(u boundUpstream) string {
	if u.socket != "" {
		return u.socket
	}
	number := u.number
	for _, port := range portsOfGroup(c.after) {
		if port.Label == u.label && port.Value > 0 {
			number = strconv.Itoa(port.Value)
		}
	}
	if number == "" {
		number = "${NOMAD_PORT_" + u.label + "}"
	}
	return net.JoinHostPort(localhost, number)
}

func portsOfGroup(g *api.TaskGroup) []api.Port {
	var all []api.Port
	for _, n := range g.Networks {
		all = append(all, ports{network: n}.all()...)
	}
	return all
}

// blocks are the blocks of a name in a task's config: in HCL a list of objects, in
// JSON and from this hook also an object.
func blocks(value any) []map[string]any {
	switch v := value.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []map[string]any:
		return v
	case []any:
		var all []map[string]any
		for _, one := range v {
			all = append(all, blocks(one)...)
		}
		return all
	}
	return nil
}

// asText is a value of a task's config as one would write it; that of a list is
// nothing.
func asText(value any) string {
	switch value.(type) {
	case nil, map[string]any, []map[string]any, []any:
		return ""
	}
	return fmt.Sprint(value)
}

// texts are the entries of a list in a task's config, or its only value.
func texts(value any) []string {
	switch v := value.(type) {
	case []string:
		return v
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, texts(one)...)
		}
		return all
	}
	if text := asText(value); text != "" {
		return []string{text}
	}
	return nil
}
