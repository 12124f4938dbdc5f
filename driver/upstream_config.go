package driver

import (
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/sidecar"
)

// tuneUpstream checks and adds all that is not the place to listen on.
func tuneUpstream(at string, u Upstream, out *api.Upstream) error {
	if err := oneOf(at+".destination_type", u.DestinationType, string(api.UpstreamDestTypeService), string(api.UpstreamDestTypePreparedQuery)); err != nil {
		return err
	}
	out.DestinationType = api.UpstreamDestType(u.DestinationType)
	out.DestinationNamespace = u.DestinationNamespace
	out.DestinationPartition = u.DestinationPartition
	out.DestinationPeer = u.DestinationPeer
	out.Datacenter = u.Datacenter
	var err error
	if out.MeshGateway, err = meshGateway(at, u.MeshGateway); err != nil {
		return err
	}
	if u.Config != nil {
		out.Config, err = u.Config.settings(at + ".config")
	}
	return err
}

// settings gives the keys that Consul's xDS server reads; what the user left
// out stays out, since an empty value would override the central one.
func (c UpstreamConfig) settings(field string) (map[string]any, error) {
	out := map[string]any{}
	setString(out, "protocol", c.Protocol)
	setString(out, "envoy_listener_json", c.EnvoyListenerJSON)
	setString(out, "envoy_cluster_json", c.EnvoyClusterJSON)
	setString(out, "balance_outbound_connections", c.BalanceOutboundConnections)
	if c.ConnectTimeoutMs != 0 {
		out["connect_timeout_ms"] = c.ConnectTimeoutMs
	}
	if l := c.Limits; l != nil {
		limits := map[string]any{}
		setInt(limits, "max_connections", l.MaxConnections)
		setInt(limits, "max_pending_requests", l.MaxPendingRequests)
		setInt(limits, "max_concurrent_requests", l.MaxConcurrentRequests)
		out["limits"] = limits
	}
	if h := c.PassiveHealthCheck; h != nil {
		check := map[string]any{}
		for key, value := range map[string]string{"interval": h.Interval, "base_ejection_time": h.BaseEjectionTime} {
			if value == "" {
				continue
			}
			if _, err := time.ParseDuration(value); err != nil {
				return nil, sidecar.Invalidf(field+".passive_health_check."+key, "%q is not a duration such as \"10s\"", value)
			}
			check[key] = value
		}
		setInt(check, "max_failures", h.MaxFailures)
		setInt(check, "enforcing_consecutive_5xx", h.EnforcingConsecutive5xx)
		setInt(check, "max_ejection_percent", h.MaxEjectionPercent)
		out["passive_health_check"] = check
	}
	mesh, err := meshGateway(field, c.MeshGateway)
	if mesh.Mode != "" {
		out["mesh_gateway"] = map[string]any{"mode": string(mesh.Mode)}
	}
	return out, err
}

func setString(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

func setInt(m map[string]any, key string, value *int) {
	if value != nil {
		m[key] = *value
	}
}
