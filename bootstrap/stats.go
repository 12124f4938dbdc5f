package bootstrap

import (
	"slices"
	"strings"

	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// statTag is a tag that Envoy cuts out of a stat's name.
type statTag struct{ name, regex string }

// The names of stats are made by Consul's xDS server; these expressions, equal
// to those of every CLI from 1.15.0 to 1.22.7, take them apart again.
var statTags = []statTag{
	{"consul.destination.custom_hash", `^cluster\.(?:passthrough~)?((?:([^.]+)~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.destination.service_subset", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:([^.]+)\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.destination.service", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?([^.]+)\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.destination.namespace", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.([^.]+)\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.destination.partition", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:([^.]+)\.)?[^.]+\.internal[^.]*\.[^.]+\.consul\.)`},
	{"consul.destination.datacenter", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?([^.]+)\.internal[^.]*\.[^.]+\.consul\.)`},
	{"consul.destination.peer", `^cluster\.([^.]+\.(?:[^.]+\.)?([^.]+)\.external\.[^.]+\.consul\.)`},
	{"consul.destination.routing_type", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.([^.]+)\.[^.]+\.consul\.)`},
	{"consul.destination.trust_domain", `^cluster\.(?:passthrough~)?((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.([^.]+)\.consul\.)`},
	{"consul.destination.target", `^cluster\.(?:passthrough~)?(((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+)\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.destination.full_target", `^cluster\.(?:passthrough~)?(((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+)\.consul\.)`},
	{"consul.upstream.service", `^(?:tcp|http)\.upstream(?:_peered)?\.(([^.]+)(?:\.[^.]+)?(?:\.[^.]+)?\.[^.]+\.)`},
	{"consul.upstream.datacenter", `^(?:tcp|http)\.upstream\.([^.]+(?:\.[^.]+)?(?:\.[^.]+)?\.([^.]+)\.)`},
	{"consul.upstream.peer", `^(?:tcp|http)\.upstream_peered\.([^.]+(?:\.[^.]+)?\.([^.]+)\.)`},
	{"consul.upstream.namespace", `^(?:tcp|http)\.upstream(?:_peered)?\.([^.]+(?:\.([^.]+))?(?:\.[^.]+)?\.[^.]+\.)`},
	{"consul.upstream.partition", `^(?:tcp|http)\.upstream\.([^.]+(?:\.[^.]+)?(?:\.([^.]+))?\.[^.]+\.)`},
}

// deprecatedStatTags name their parts without saying "destination"; dashboards still use them.
var deprecatedStatTags = []statTag{
	{"consul.custom_hash", `^cluster\.((?:([^.]+)~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.service_subset", `^cluster\.((?:[^.]+~)?(?:([^.]+)\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.service", `^cluster\.((?:[^.]+~)?(?:[^.]+\.)?([^.]+)\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.namespace", `^cluster\.((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.([^.]+)\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.datacenter", `^cluster\.((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?([^.]+)\.internal[^.]*\.[^.]+\.consul\.)`},
	{"consul.routing_type", `^cluster\.((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.([^.]+)\.[^.]+\.consul\.)`},
	{"consul.trust_domain", `^cluster\.((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.([^.]+)\.consul\.)`},
	{"consul.target", `^cluster\.(((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+)\.[^.]+\.[^.]+\.consul\.)`},
	{"consul.full_target", `^cluster\.(((?:[^.]+~)?(?:[^.]+\.)?[^.]+\.[^.]+\.(?:[^.]+\.)?[^.]+\.[^.]+\.[^.]+)\.consul\.)`},
}

// statsConfig says how stats get their tags: the user's word, or Consul's rules.
func statsConfig(in Inputs, cfg proxyConfig) (*metricsv3.StatsConfig, error) {
	if cfg.statsConfig != "" {
		own := &metricsv3.StatsConfig{}
		return own, underKey(keyStatsConfig, readObject(cfg.statsConfig, own))
	}
	tags, named := userTags(cfg.statsTags)
	rules := statTags
	if !in.OmitDeprecatedTags {
		rules = slices.Concat(statTags, deprecatedStatTags)
	}
	for _, t := range rules {
		tags = append(tags, &metricsv3.TagSpecifier{
			TagName:  t.name,
			TagValue: &metricsv3.TagSpecifier_Regex{Regex: t.regex},
		})
	}
	for _, t := range []struct{ name, value string }{
		{"local_cluster", in.cluster()},
		{"consul.source.service", in.sourceService()},
		{"consul.source.namespace", in.namespace()},
		{"consul.source.partition", in.partition()},
		{"consul.source.datacenter", in.Proxy.Datacenter},
	} {
		if t.value != "" && !named[t.name] {
			tags = append(tags, fixedTag(t.name, t.value))
		}
	}
	return &metricsv3.StatsConfig{StatsTags: tags, UseAllDefaultTags: wrapperspb.Bool(true)}, nil
}

// userTags reads "name=value" (a bare name has the value "1"). A user's fixed
// tag takes the place of Consul's own of that name.
func userTags(list []string) (tags []*metricsv3.TagSpecifier, named map[string]bool) {
	named = make(map[string]bool, len(list))
	for _, tag := range list {
		name, value, ok := strings.Cut(tag, "=")
		if !ok {
			value = "1"
		}
		name = strings.ToLower(name)
		named[name] = true
		tags = append(tags, fixedTag(name, value))
	}
	return tags, named
}

func fixedTag(name, value string) *metricsv3.TagSpecifier {
	return &metricsv3.TagSpecifier{
		TagName:  name,
		TagValue: &metricsv3.TagSpecifier_FixedValue{FixedValue: value},
	}
}
