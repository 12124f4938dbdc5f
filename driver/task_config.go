package driver

import (
	"maps"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"
)

// TaskConfig is what a job author writes into the task's config block. Names
// and shapes are those of Nomad's own service.connect stanza. One of the
// blocks sidecar_service, gateway and bootstrap says what the task is.
type TaskConfig struct {
	Service     string `codec:"service"`      // the group's service that is fronted
	ServicePort string `codec:"service_port"` // its port label, when two services have the name

	SidecarService *SidecarService `codec:"sidecar_service"`
	Gateway        *Gateway        `codec:"gateway"`
	Bootstrap      *Bootstrap      `codec:"bootstrap"`

	Consul *TaskConsulConfig `codec:"consul"`
	Envoy  *EnvoyConfig      `codec:"envoy"`
	Ready  *ReadyConfig      `codec:"ready"`
	Drain  *DrainConfig      `codec:"drain"`

	NodeMeta *NodeMeta `codec:"node_meta"`
}

// SidecarService is a sidecar that the driver registers.
type SidecarService struct {
	Port                   string            `codec:"port"` // port label of the public listener
	Tags                   []string          `codec:"tags"`
	Meta                   map[string]string `codec:"meta"`
	Standalone             bool              `codec:"standalone"`                // a client without a service in the group
	DisableDefaultTCPCheck bool              `codec:"disable_default_tcp_check"` // there is none; taken as Nomad's stanza has it
	Proxy                  *Proxy            `codec:"proxy"`
}

// Proxy is how the proxy reaches its service and others.
type Proxy struct {
	LocalServiceAddress     string       `codec:"local_service_address"`
	LocalServicePort        int          `codec:"local_service_port"`
	LocalServiceSocketPath  string       `codec:"local_service_socket_path"`
	LocalServiceSocketGroup string       `codec:"local_service_socket_group"` // whose members make the socket
	Upstreams               []Upstream   `codec:"upstreams"`
	Config                  any          `codec:"config"` // an object of any shape
	Expose                  *Expose      `codec:"expose"`
	MeshGateway             *MeshGateway `codec:"mesh_gateway"`
}

// Upstream is another service, and where the app finds it: on a port label, a
// port number or a unix socket.
type Upstream struct {
	DestinationName      string          `codec:"destination_name"`
	DestinationType      string          `codec:"destination_type"`
	DestinationNamespace string          `codec:"destination_namespace"`
	DestinationPartition string          `codec:"destination_partition"`
	DestinationPeer      string          `codec:"destination_peer"`
	Datacenter           string          `codec:"datacenter"`
	Port                 string          `codec:"port"` // port label
	LocalBindAddress     string          `codec:"local_bind_address"`
	LocalBindPort        int             `codec:"local_bind_port"`
	LocalBindSocketPath  string          `codec:"local_bind_socket_path"`
	LocalBindSocketMode  string          `codec:"local_bind_socket_mode"`  // octal, "0660"
	LocalBindSocketGroup string          `codec:"local_bind_socket_group"` // whose members connect to it
	MeshGateway          *MeshGateway    `codec:"mesh_gateway"`
	Config               *UpstreamConfig `codec:"config"`
}

// UpstreamConfig tunes an upstream; see Consul's service-defaults. It is typed,
// since Nomad's client crashes on free-form values in a repeated block.
type UpstreamConfig struct {
	Protocol                   string              `codec:"protocol"`
	ConnectTimeoutMs           int                 `codec:"connect_timeout_ms"`
	EnvoyListenerJSON          string              `codec:"envoy_listener_json"`
	EnvoyClusterJSON           string              `codec:"envoy_cluster_json"`
	BalanceOutboundConnections string              `codec:"balance_outbound_connections"`
	Limits                     *UpstreamLimits     `codec:"limits"`
	PassiveHealthCheck         *PassiveHealthCheck `codec:"passive_health_check"`
	MeshGateway                *MeshGateway        `codec:"mesh_gateway"`
}

// UpstreamLimits bounds what is open to an upstream at a time.
type UpstreamLimits struct {
	MaxConnections        *int `codec:"max_connections"`
	MaxPendingRequests    *int `codec:"max_pending_requests"`
	MaxConcurrentRequests *int `codec:"max_concurrent_requests"`
}

// PassiveHealthCheck is outlier detection.
type PassiveHealthCheck struct {
	Interval                string `codec:"interval"` // duration
	MaxFailures             *int   `codec:"max_failures"`
	EnforcingConsecutive5xx *int   `codec:"enforcing_consecutive_5xx"` // percent
	MaxEjectionPercent      *int   `codec:"max_ejection_percent"`
	BaseEjectionTime        string `codec:"base_ejection_time"` // duration
}

// MeshGateway says through which gateways other datacenters are reached.
type MeshGateway struct {
	Mode string `codec:"mode"` // none, local, remote
}

// Expose opens paths of the local service to those outside the mesh.
type Expose struct {
	Paths []ExposePath `codec:"path"`
}

// ExposePath is one such path.
type ExposePath struct {
	Path          string `codec:"path"`
	Protocol      string `codec:"protocol"` // http, http2
	LocalPathPort int    `codec:"local_path_port"`
	ListenerPort  string `codec:"listener_port"` // port label
}

// Gateway is a gateway that the driver registers.
type Gateway struct {
	Ingress     any `codec:"ingress"`
	Terminating any `codec:"terminating"`
	Mesh        any `codec:"mesh"`
	API         any `codec:"api"`
}

// Bootstrap is a proxy whose bootstrap someone else wrote: Nomad's own Connect,
// unless a path is given. (The block itself must be there: Nomad's client refuses
// a config without anything in it.)
type Bootstrap struct {
	Path string `codec:"path"` // relative to the task's directory
}

// taskConfigSpec is the schema of TaskConfig. Only shapes that Nomad's client
// can decode are used: no attribute of type "any" below a repeated block.
func taskConfigSpec() *hclspec.Spec {
	spec := map[string]*hclspec.Spec{
		"service":      hclspec.NewAttr("service", "string", false),
		"service_port": hclspec.NewAttr("service_port", "string", false),
		"consul": hclspec.NewBlock("consul", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"address":      hclspec.NewAttr("address", "string", false),
			"token_file":   hclspec.NewAttr("token_file", "string", false),
			"namespace":    hclspec.NewAttr("namespace", "string", false),
			"partition":    hclspec.NewAttr("partition", "string", false),
			"grpc_address": hclspec.NewAttr("grpc_address", "string", false),
			"identity":     hclspec.NewAttr("identity", "string", false),
			"auth_method":  hclspec.NewAttr("auth_method", "string", false),
		})),
		"gateway": hclspec.NewBlock("gateway", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"ingress":     hclspec.NewAttr("ingress", "any", false),
			"terminating": hclspec.NewAttr("terminating", "any", false),
			"mesh":        hclspec.NewAttr("mesh", "any", false),
			"api":         hclspec.NewAttr("api", "any", false),
		})),
		"node_meta": hclspec.NewBlock("node_meta", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"log_level":   hclspec.NewAttr("log_level", "string", false),
			"concurrency": hclspec.NewAttr("concurrency", "string", false),
		})),
		"bootstrap": hclspec.NewBlock("bootstrap", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"path": hclspec.NewAttr("path", "string", false),
		})),
		"sidecar_service": hclspec.NewBlock("sidecar_service", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"port":                      hclspec.NewAttr("port", "string", false),
			"tags":                      hclspec.NewAttr("tags", "list(string)", false),
			"meta":                      hclspec.NewBlockAttrs("meta", "string", false),
			"standalone":                hclspec.NewAttr("standalone", "bool", false),
			"disable_default_tcp_check": hclspec.NewAttr("disable_default_tcp_check", "bool", false),
			"proxy":                     hclspec.NewBlock("proxy", false, proxyBlock()),
		})),
	}
	maps.Copy(spec, nodeBlocks())
	return hclspec.NewObject(spec)
}

func proxyBlock() *hclspec.Spec {
	return hclspec.NewObject(map[string]*hclspec.Spec{
		"local_service_address":      hclspec.NewAttr("local_service_address", "string", false),
		"local_service_port":         hclspec.NewAttr("local_service_port", "number", false),
		"local_service_socket_path":  hclspec.NewAttr("local_service_socket_path", "string", false),
		"local_service_socket_group": hclspec.NewAttr("local_service_socket_group", "string", false),
		"upstreams":                  hclspec.NewBlockList("upstreams", upstreamSpec()),
		"config":                     hclspec.NewAttr("config", "any", false),
		"mesh_gateway":               meshGatewaySpec(),
		"expose": hclspec.NewBlock("expose", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"path": hclspec.NewBlockList("path", hclspec.NewObject(map[string]*hclspec.Spec{
				"path":            hclspec.NewAttr("path", "string", false),
				"protocol":        hclspec.NewAttr("protocol", "string", false),
				"local_path_port": hclspec.NewAttr("local_path_port", "number", false),
				"listener_port":   hclspec.NewAttr("listener_port", "string", false),
			})),
		})),
	})
}

func upstreamSpec() *hclspec.Spec {
	return hclspec.NewObject(map[string]*hclspec.Spec{
		"destination_name":        hclspec.NewAttr("destination_name", "string", false),
		"destination_type":        hclspec.NewAttr("destination_type", "string", false),
		"destination_namespace":   hclspec.NewAttr("destination_namespace", "string", false),
		"destination_partition":   hclspec.NewAttr("destination_partition", "string", false),
		"destination_peer":        hclspec.NewAttr("destination_peer", "string", false),
		"datacenter":              hclspec.NewAttr("datacenter", "string", false),
		"port":                    hclspec.NewAttr("port", "string", false),
		"local_bind_address":      hclspec.NewAttr("local_bind_address", "string", false),
		"local_bind_port":         hclspec.NewAttr("local_bind_port", "number", false),
		"local_bind_socket_path":  hclspec.NewAttr("local_bind_socket_path", "string", false),
		"local_bind_socket_mode":  hclspec.NewAttr("local_bind_socket_mode", "string", false),
		"local_bind_socket_group": hclspec.NewAttr("local_bind_socket_group", "string", false),
		"mesh_gateway":            meshGatewaySpec(),
		"config":                  hclspec.NewBlock("config", false, upstreamConfigSpec()),
	})
}

func upstreamConfigSpec() *hclspec.Spec {
	return hclspec.NewObject(map[string]*hclspec.Spec{
		"protocol":                     hclspec.NewAttr("protocol", "string", false),
		"connect_timeout_ms":           hclspec.NewAttr("connect_timeout_ms", "number", false),
		"envoy_listener_json":          hclspec.NewAttr("envoy_listener_json", "string", false),
		"envoy_cluster_json":           hclspec.NewAttr("envoy_cluster_json", "string", false),
		"balance_outbound_connections": hclspec.NewAttr("balance_outbound_connections", "string", false),
		"mesh_gateway":                 meshGatewaySpec(),
		"limits": hclspec.NewBlock("limits", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"max_connections":         hclspec.NewAttr("max_connections", "number", false),
			"max_pending_requests":    hclspec.NewAttr("max_pending_requests", "number", false),
			"max_concurrent_requests": hclspec.NewAttr("max_concurrent_requests", "number", false),
		})),
		"passive_health_check": hclspec.NewBlock("passive_health_check", false, hclspec.NewObject(map[string]*hclspec.Spec{
			"interval":                  hclspec.NewAttr("interval", "string", false),
			"max_failures":              hclspec.NewAttr("max_failures", "number", false),
			"enforcing_consecutive_5xx": hclspec.NewAttr("enforcing_consecutive_5xx", "number", false),
			"max_ejection_percent":      hclspec.NewAttr("max_ejection_percent", "number", false),
			"base_ejection_time":        hclspec.NewAttr("base_ejection_time", "string", false),
		})),
	})
}

func meshGatewaySpec() *hclspec.Spec {
	return hclspec.NewBlock("mesh_gateway", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"mode": hclspec.NewAttr("mode", "string", false),
	}))
}
