package bootstrap

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// StaticListener is an address at which a bootstrap itself has Envoy take TCP
// connections, whatever a management server says.
type StaticListener struct {
	Name string // of the listener; empty when it has none
	At   netip.AddrPort
}

// Listeners that are made of keys of Proxy.Config have names of their own.
const (
	prometheusListener = "envoy_prometheus_metrics"
	statsListener      = "envoy_metrics"
	readyListener      = "envoy_ready"

	listenerSuffix = "_listener"
)

// ListenerKey is the key of Proxy.Config that a static listener is made of.
func ListenerKey(name string, config map[string]any) string {
	switch name {
	case prometheusListener + listenerSuffix:
		return KeyPrometheus
	case statsListener + listenerSuffix:
		return KeyStats
	}
	if template, err := lookUp(config, keyTemplate); err == nil && template != nil && template != "" {
		return keyTemplate
	}
	return keyExtraListeners
}

// StaticListeners finds those of a bootstrap, whoever wrote it. It leaves out what is no
// fixed port of this machine: sockets of other kinds, listeners that others hand connections
// to, and those that need not have the address, as of a machine that may be taken over.
func StaticListeners(content []byte) []StaticListener {
	var root map[string]json.RawMessage
	if json.Unmarshal(content, &root) != nil {
		return nil
	}
	static, err := members(root, "static_resources", "staticResources")
	if err != nil {
		return nil
	}
	var found []StaticListener
	for _, item := range itemsOf(static["listeners"]) {
		found = append(found, staticListener(item)...)
	}
	return found
}

// staticListener gives the addresses of one listener.
func staticListener(item json.RawMessage) []StaticListener {
	var l map[string]json.RawMessage
	if json.Unmarshal(item, &l) != nil || is(l, "false", "bind_to_port", "bindToPort") || is(l, "true", "freebind", "transparent") {
		return nil
	}
	addresses := []json.RawMessage{l["address"]}
	for _, name := range []string{"additional_addresses", "additionalAddresses"} {
		for _, more := range itemsOf(l[name]) {
			var additional struct{ Address json.RawMessage }
			if json.Unmarshal(more, &additional) == nil {
				addresses = append(addresses, additional.Address)
			}
		}
	}
	var name string
	_ = json.Unmarshal(l["name"], &name) // or it has none
	var found []StaticListener
	for _, address := range addresses {
		if at, ok := tcpAddress(address); ok {
			found = append(found, StaticListener{Name: name, At: at})
		}
	}
	return found
}

// itemsOf are those of a field which may hold the only item itself: Envoy reads either.
func itemsOf(text json.RawMessage) []json.RawMessage {
	var items []json.RawMessage
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return []json.RawMessage{text}
	}
	if json.Unmarshal(text, &items) != nil {
		return nil
	}
	return items
}

// is tells whether one of the names has a truth value, which Envoy reads from a text, too.
func is(object map[string]json.RawMessage, value string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.Trim(string(object[name]), "\"") == value })
}

// tcpAddress is where a listener takes TCP connections; ok is false for one that does not,
// for one whose port the kernel chooses, and for one in another network.
func tcpAddress(text json.RawMessage) (at netip.AddrPort, ok bool) {
	var address corev3.Address
	if len(text) == 0 || protojson.Unmarshal(text, &address) != nil {
		return at, false
	}
	socket := address.GetSocketAddress()
	ip, err := netip.ParseAddr(socket.GetAddress())
	if err != nil || socket.GetProtocol() != corev3.SocketAddress_TCP || socket.GetPortValue() == 0 || socket.GetNetworkNamespaceFilepath() != "" {
		return at, false
	}
	return netip.AddrPortFrom(ip, uint16(socket.GetPortValue())), true
}
