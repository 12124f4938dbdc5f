package bootstrap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// proxyConfig is what Proxy.Config says to the bootstrap. All its other keys
// (bind_address, protocol, local_connect_timeout_ms …) are for Consul's xDS
// server, which reads them itself.
type proxyConfig struct {
	statsTags []string // envoy_stats_tags: "name=value"
}

// KeyError is a value of Proxy.Config that no bootstrap can be made of.
type KeyError struct {
	Key string // as it is written there
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("proxy config key %q: %v", e.Key, e.Err) }
func (e *KeyError) Unwrap() error { return e.Err }

// bootstrapKeys are the keys of Proxy.Config that the CLI reads, lower case;
// those that are false are not rendered by this version.
var bootstrapKeys = map[string]bool{
	"envoy_stats_tags":                          true,
	"envoy_bootstrap_json_tpl":                  false,
	"envoy_dogstatsd_url":                       false,
	"envoy_extra_static_clusters_json":          false,
	"envoy_extra_static_listeners_json":         false,
	"envoy_extra_stats_sinks_json":              false,
	"envoy_prometheus_bind_addr":                false,
	"envoy_stats_bind_addr":                     false,
	"envoy_stats_config_json":                   false,
	"envoy_stats_flush_interval":                false,
	"envoy_statsd_url":                          false,
	"envoy_telemetry_collector_bind_socket_dir": false,
	"envoy_tracing_json":                        false,
}

// parseProxyConfig reads the bootstrap's keys. They match without regard to
// case, scalars become lists of one, as the CLI has it. A key that this
// version does not render is an error: leaving it out silently would give a
// proxy that is not the one asked for.
func parseProxyConfig(config map[string]any) (proxyConfig, error) {
	var out proxyConfig
	for _, key := range slices.Sorted(maps.Keys(config)) {
		rendered, known := bootstrapKeys[strings.ToLower(key)]
		if !known || config[key] == nil {
			continue
		}
		if !rendered {
			return out, &KeyError{Key: key, Err: errors.New("is not supported by this version of the driver; remove it from the job or the config entry it comes from")}
		}
		tags, err := stringList(config[key])
		if err != nil {
			return out, &KeyError{Key: key, Err: err}
		}
		out.statsTags = tags
	}
	return out, nil
}

func stringList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		if strs, ok := v.([]string); ok {
			return strs, nil
		}
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for i, item := range list {
		s, err := scalar(item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", fmt.Errorf("a string is expected, got %T", v)
}
