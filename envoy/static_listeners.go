package envoy

import (
	"fmt"
	"net/netip"
	"slices"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// staticListeners are those of a bootstrap; says tells of each what asks for it.
func staticListeners(content []byte, says func(name string) sidecar.StaticListener) []sidecar.StaticListener {
	out := []sidecar.StaticListener{} // none is known as well
	for _, found := range bootstrap.StaticListeners(content) {
		l := says(found.Name)
		l.Port = sidecar.Port{Label: l.Label, Address: found.At.Addr().String(), Number: int(found.At.Port())}
		out = append(out, l)
	}
	return out
}

// Listeners implements sidecar.Program.
func (r *Rendered) Listeners(running *process.Process) []sidecar.StaticListener {
	content, err := runningBootstrap(running.ID)
	if err != nil {
		return nil
	}
	return staticListeners(content, func(name string) sidecar.StaticListener { return r.says(name, nil) })
}

// says is what asks for a static listener of a bootstrap of ours: a key of the job's own,
// or one of proxy-defaults. (Of the config entries no other has keys of a bootstrap.)
func (r *Rendered) says(name string, config map[string]any) sidecar.StaticListener {
	key := bootstrap.ListenerKey(name, config)
	scraped := key == bootstrap.KeyPrometheus || key == bootstrap.KeyStats
	own, isOwn := r.ownKey(key)
	switch {
	case isOwn && scraped:
		return sidecar.StaticListener{Key: key, Port: sidecar.Port{Label: own + " of the job's proxy.config"},
			WayOut: fmt.Sprintf("give it a port that Nomad chooses: port \"metrics\" {} in the group's network block, and %s = \"${NOMAD_ADDR_metrics}\"", own)}
	case isOwn:
		return sidecar.StaticListener{Key: key, Port: sidecar.Port{Label: own + " of the job's proxy.config"},
			WayOut: fmt.Sprintf("give it a port that Nomad chooses: port \"extra\" {} in the group's network block, and ${NOMAD_PORT_extra} in %s", own)}
	case scraped:
		return sidecar.StaticListener{Key: key, Made: true, Port: sidecar.Port{Label: key + ", chosen for this sidecar"},
			WayOut: "it was free when it was chosen, and the next start takes another; the ports of the plugin's config, metrics { port_min port_max }, should be nobody else's"}
	}
	return sidecar.StaticListener{Key: key, Port: sidecar.Port{Label: key + " of Consul's config entry proxy-defaults"},
		WayOut: fmt.Sprintf("the entry has every sidecar of the node listen there; leave it out of the entry, or out of this sidecar with config { %s = \"\" } in its proxy block", key)}
}

// exposedByEntries are the ports at which Consul has an Envoy listen for paths that only
// its config entries expose.
func exposedByEntries(in bootstrap.Inputs, at sidecar.Place) []sidecar.StaticListener {
	var out []sidecar.StaticListener
	for _, path := range in.Proxy.Proxy.Expose.Paths {
		if path.ListenerPort == 0 || slices.ContainsFunc(at.Ports, func(p sidecar.Port) bool { return p.Number == path.ListenerPort }) {
			continue
		}
		out = append(out, sidecar.StaticListener{
			Port: sidecar.Port{Address: at.Public.Address, Number: path.ListenerPort,
				Label: fmt.Sprintf("the path %q that Consul's config entries service-defaults or proxy-defaults expose", path.Path)},
			WayOut: "an entry has every sidecar of the service listen there; expose the path in the job instead, with expose { path { … } } in the proxy block and a port label of the group for each of its listeners",
		})
	}
	return out
}

// tellListeners says where an Envoy listens besides, as the end of a sentence.
func tellListeners(listeners []sidecar.StaticListener) string {
	text := ""
	for _, l := range listeners {
		text += "; it listens at " + l.String()
	}
	return text
}

// Listeners implements sidecar.Program.
func (e *External) Listeners(running *process.Process) []sidecar.StaticListener {
	content, err := runningBootstrap(running.ID)
	if err != nil {
		return nil
	}
	return e.listeners(content)
}

// listeners are those of a bootstrap, and its admin API where that has a port: no other
// Envoy shares it.
func (e *External) listeners(content []byte) []sidecar.StaticListener {
	found := staticListeners(content, func(name string) sidecar.StaticListener {
		return sidecar.StaticListener{Key: name, Shared: true, Port: sidecar.Port{Label: fmt.Sprintf("the listener %q of %s", name, e.file.Path)},
			WayOut: "give each Envoy of a node another port there" + madeOf(name)}
	})
	if x, err := ReadExternal(e.file.Path, content); err == nil && x.Admin.Network == "tcp" {
		if at, err := netip.ParseAddrPort(x.Admin.Address); err == nil {
			found = append(found, sidecar.StaticListener{Key: "admin", WayOut: "give each Envoy of a node another port there, or none: its admin API is at a socket then",
				Port: sidecar.Port{Label: "the admin API of " + e.file.Path, Address: at.Addr().String(), Number: int(at.Port())}})
		}
	}
	return found
}

// madeOf says which key the consul command, which Nomad has write bootstraps, makes a
// listener of; empty for another.
func madeOf(name string) string {
	key := bootstrap.ListenerKey(name, nil)
	if key != bootstrap.KeyPrometheus && key != bootstrap.KeyStats {
		return ""
	}
	return fmt.Sprintf(": it is %s of the job's proxy.config, or of Consul's config entry proxy-defaults", key)
}
