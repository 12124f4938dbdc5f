package bootstrap

import (
	"maps"
	"net/netip"
	"strings"
)

// The keys that have an Envoy tell of itself at an address. Consul's proxy-defaults gives
// all proxies of a mesh the same.
const (
	KeyPrometheus = "envoy_prometheus_bind_addr"
	KeyStats      = "envoy_stats_bind_addr"
)

// SwitchedOff gives a Proxy.Config without what the proxy's own has as an empty text.
// Consul takes an empty text for nothing, and puts what proxy-defaults says in its place.
func SwitchedOff(config, own map[string]any) map[string]any {
	out := maps.Clone(config)
	for key, value := range own {
		if value == "" {
			maps.DeleteFunc(out, func(other string, _ any) bool { return strings.EqualFold(other, key) })
		}
	}
	return out
}

// Says tells whether a Proxy.Config has a key, as an empty text, too.
func Says(config map[string]any, key string) bool {
	value, err := lookUp(config, key)
	return err != nil || value != nil
}

// BindAddress is where a key of a Proxy.Config has Envoy listen; ok is false when it does
// not, or when Render will say what is wrong with it.
func BindAddress(config map[string]any, key string) (at netip.AddrPort, ok bool) {
	value, err := lookUp(config, key)
	text, isText := value.(string)
	if err != nil || !isText || text == "" {
		return at, false
	}
	at, err = parseBind(text)
	return at, err == nil
}

// BoundTo gives a Proxy.Config whose key says another address.
func BoundTo(config map[string]any, key string, at netip.AddrPort) map[string]any {
	out := SwitchedOff(config, map[string]any{key: ""}) // however it is spelled there
	if out == nil {
		out = map[string]any{}
	}
	out[key] = at.String()
	return out
}
