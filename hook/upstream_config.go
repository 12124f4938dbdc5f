package hook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The driver's block for an upstream's config is typed; Nomad's stanza takes
// anything.
var (
	upstreamKeys = keys("protocol", "connect_timeout_ms", "envoy_listener_json", "envoy_cluster_json",
		"balance_outbound_connections", "limits", "passive_health_check", "mesh_gateway")

	upstreamBlocks = map[string]map[string]bool{
		"limits":               keys("max_connections", "max_pending_requests", "max_concurrent_requests"),
		"passive_health_check": keys("interval", "max_failures", "enforcing_consecutive_5xx", "max_ejection_percent", "base_ejection_time"),
		"mesh_gateway":         keys("mode"),
	}

	durations = keys("interval", "base_ejection_time")
)

func keys(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// upstreamConfig checks the keys, and gives values the shapes that the driver
// takes.
func upstreamConfig(config map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		value := config[key]
		if err := knownKey("config", key, upstreamKeys); err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		inner, isBlock := upstreamBlocks[key]
		if !isBlock {
			if !isScalar(value) {
				return nil, fmt.Errorf("config.%s is a %s; it is one value", key, kindOf(value))
			}
			out[key] = value
			continue
		}
		block, err := innerBlock("config."+key, value, inner)
		if err != nil {
			return nil, err
		}
		out[key] = block
	}
	return out, nil
}

func innerBlock(field string, value any, known map[string]bool) (map[string]any, error) {
	block, ok := onlyObject(value)
	if !ok {
		return nil, fmt.Errorf("%s is a %s; it is one block", field, kindOf(value))
	}
	out := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(block)) {
		if err := knownKey(field, key, known); err != nil {
			return nil, err
		}
		if !isScalar(block[key]) {
			return nil, fmt.Errorf("%s.%s is a %s; it is one value", field, key, kindOf(block[key]))
		}
		out[key] = block[key]
		if durations[key] {
			out[key] = asDuration(block[key])
		}
	}
	return out, nil
}

func knownKey(field, key string, known map[string]bool) error {
	if known[key] {
		return nil
	}
	return fmt.Errorf("%s.%s is unknown to the driver, which knows %s; remove it, or set it for all in Consul's service-defaults", field, key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// onlyObject takes an object, or a list of only one: as which HCL gives a block.
func onlyObject(value any) (map[string]any, bool) {
	switch v := value.(type) {
	case map[string]any:
		return v, true
	case []any:
		if len(v) == 1 {
			return onlyObject(v[0])
		}
	}
	return nil, false
}

// asDuration writes out a number, which Consul takes for nanoseconds.
func asDuration(value any) any {
	number, ok := value.(json.Number)
	if !ok {
		return value
	}
	if n, err := number.Int64(); err == nil {
		return time.Duration(n).String()
	}
	return value
}

func isScalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "block"
	case []any:
		return "list"
	}
	return "single value"
}
