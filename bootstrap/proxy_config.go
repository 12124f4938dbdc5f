package bootstrap

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// proxyConfig is what Proxy.Config says to the bootstrap. All its other keys
// (bind_address, protocol, local_connect_timeout_ms …) are for Consul's xDS
// server, which reads them itself.
type proxyConfig struct {
	statsTags      []string // "name=value"
	statsdURL      string   // "udp://ip:port", "unix:///path" or "$VARIABLE"
	dogstatsdURL   string
	collectorDir   string
	prometheusBind string // "ip:port"
	statsBind      string // "ip:port"
	flushInterval  string // "5s"

	// Envoy's own JSON.
	template       string // a Go template of the whole
	extraClusters  string
	extraListeners string
	extraSinks     string
	statsConfig    string
	tracing        string
}

// The keys, as Consul's documentation has them.
const (
	keyStatsTags      = "envoy_stats_tags"
	keyStatsdURL      = "envoy_statsd_url"
	keyDogstatsdURL   = "envoy_dogstatsd_url"
	keyCollectorDir   = "envoy_telemetry_collector_bind_socket_dir"
	keyFlushInterval  = "envoy_stats_flush_interval"
	keyTemplate       = "envoy_bootstrap_json_tpl"
	keyExtraClusters  = "envoy_extra_static_clusters_json"
	keyExtraListeners = "envoy_extra_static_listeners_json"
	keyExtraSinks     = "envoy_extra_stats_sinks_json"
	keyStatsConfig    = "envoy_stats_config_json"
	keyTracing        = "envoy_tracing_json"
)

// keyReady sets the readiness listener in the consul command, by an accident
// of its decoder.
const keyReady = "-"

// targets says where the value of each key goes.
func (c *proxyConfig) targets() map[string]any {
	return map[string]any{
		keyStatsTags:      &c.statsTags,
		keyStatsdURL:      &c.statsdURL,
		keyDogstatsdURL:   &c.dogstatsdURL,
		keyCollectorDir:   &c.collectorDir,
		KeyPrometheus:     &c.prometheusBind,
		KeyStats:          &c.statsBind,
		keyFlushInterval:  &c.flushInterval,
		keyTemplate:       &c.template,
		keyExtraClusters:  &c.extraClusters,
		keyExtraListeners: &c.extraListeners,
		keyExtraSinks:     &c.extraSinks,
		keyStatsConfig:    &c.statsConfig,
		keyTracing:        &c.tracing,
	}
}

// KeyError is a value of Proxy.Config that no bootstrap can be made of.
type KeyError struct {
	Key string // as Consul's documentation has it
	Err error
}

func (e *KeyError) Error() string { return fmt.Sprintf("proxy config key %q: %v", e.Key, e.Err) }
func (e *KeyError) Unwrap() error { return e.Err }

// underKey gives an error the name of the key that caused it.
func underKey(key string, err error) error {
	if err == nil {
		return nil
	}
	return &KeyError{Key: key, Err: err}
}

// parseProxyConfig reads the bootstrap's keys the way the consul command does:
// regardless of case, numbers and booleans as text, one string as a list of
// one, null as absent.
func parseProxyConfig(config map[string]any) (proxyConfig, error) {
	var out proxyConfig
	targets := out.targets()
	for _, key := range slices.Sorted(maps.Keys(targets)) {
		value, err := lookUp(config, key)
		if err != nil {
			return out, err
		}
		if err := mapstructure.WeakDecode(value, targets[key]); err != nil {
			want := "a string is expected"
			if key == keyStatsTags {
				want = "a list of strings is expected"
			}
			return out, underKey(key, fmt.Errorf("%s, got %s", want, describe(value)))
		}
		if text, ok := targets[key].(*string); ok && !envoyJSON[key] {
			if err := clean(*text); err != nil {
				return out, underKey(key, err)
			}
		}
	}
	for _, tag := range out.statsTags {
		if err := clean(tag); err != nil {
			return out, underKey(keyStatsTags, err)
		}
	}
	if config[keyReady] != nil {
		return out, underKey(keyReady, errors.New("it means nothing here; the readiness listener is set with -envoy-ready-bind-address and -envoy-ready-bind-port"))
	}
	return out, nil
}

// envoyJSON are the keys whose text is JSON.
var envoyJSON = map[string]bool{
	keyTemplate: true, keyExtraClusters: true, keyExtraListeners: true, keyExtraSinks: true, keyStatsConfig: true, keyTracing: true,
}

// HatchKeys are those keys of a Proxy.Config that hold Envoy's own JSON. What
// they say passes Render when it is the message it claims to be; whether Envoy
// takes it only Envoy can tell.
func HatchKeys(config map[string]any) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(envoyJSON)), func(key string) bool {
		value, err := lookUp(config, key)
		return err != nil || value == nil || value == ""
	})
}

// lookUp gives the value of a key as it is spelled here, else in any case.
func lookUp(config map[string]any, key string) (any, error) {
	if value, ok := config[key]; ok {
		return value, nil
	}
	var spelled []string
	for _, other := range slices.Sorted(maps.Keys(config)) {
		if strings.EqualFold(other, key) {
			spelled = append(spelled, other)
		}
	}
	switch len(spelled) {
	case 0:
		return nil, nil
	case 1:
		return config[spelled[0]], nil
	}
	return nil, underKey(key, fmt.Errorf("it is given %d times: %s", len(spelled), quoteList(spelled)))
}

// describe says what kind of JSON a value came from.
func describe(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		for _, item := range v {
			if _, ok := item.(map[string]any); ok {
				return "a list with an object in it"
			}
		}
		return "a list"
	}
	return fmt.Sprintf("%v", v)
}
