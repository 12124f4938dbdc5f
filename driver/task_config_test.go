package driver

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"
)

// The schema says what Nomad accepts, the structs what the driver reads: one
// without the other loses what a user wrote, or refuses it.
func TestSchema_matchesStructs(t *testing.T) {
	for name, pair := range map[string]struct {
		spec *hclspec.Spec
		into any
	}{
		"task":   {taskConfigSpec(), TaskConfig{}},
		"plugin": {pluginConfigSpec(), PluginConfig{}},
	} {
		t.Run(name, func(t *testing.T) { sameShape(t, name, pair.spec, reflect.TypeOf(pair.into), false) })
	}
}

func sameShape(t *testing.T, at string, spec *hclspec.Spec, typ reflect.Type, repeated bool) {
	t.Helper()
	attrs := spec.GetObject().GetAttributes()
	must.NotNil(t, attrs, must.Sprintf("%s is no object", at))
	must.Eq(t, typ.NumField(), len(attrs), must.Sprintf("%s: fields of the struct and of the schema", at))
	for i := range typ.NumField() {
		field := typ.Field(i)
		name := field.Tag.Get("codec")
		here := at + "." + name
		sub, ok := attrs[name]
		must.True(t, ok, must.Sprintf("%s is not in the schema", here))
		kind := field.Type
		switch {
		case sub.GetBlockValue() != nil:
			must.Eq(t, name, sub.GetBlockValue().GetName())
			must.Eq(t, reflect.Pointer, kind.Kind(), must.Sprintf("%s: an absent block must be nil", here))
			sameShape(t, here, sub.GetBlockValue().GetNested(), kind.Elem(), repeated)
		case sub.GetBlockList() != nil:
			must.Eq(t, name, sub.GetBlockList().GetName())
			must.Eq(t, reflect.Slice, kind.Kind())
			sameShape(t, here, sub.GetBlockList().GetNested(), kind.Elem(), true)
		case sub.GetBlockAttrs() != nil:
			must.Eq(t, name, sub.GetBlockAttrs().GetName())
			must.Eq(t, "string", sub.GetBlockAttrs().GetType())
			must.Eq(t, reflect.TypeFor[map[string]string](), kind)
		default:
			sameAttr(t, here, sub.GetAttr(), kind, repeated)
		}
	}
}

func sameAttr(t *testing.T, at string, attr *hclspec.Attr, typ reflect.Type, repeated bool) {
	t.Helper()
	must.NotNil(t, attr, must.Sprint(at))
	must.Eq(t, at[strings.LastIndexByte(at, '.')+1:], attr.GetName())
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := map[reflect.Type]string{
		reflect.TypeFor[string]():   "string",
		reflect.TypeFor[int]():      "number",
		reflect.TypeFor[bool]():     "bool",
		reflect.TypeFor[[]string](): "list(string)",
		reflect.TypeFor[any]():      "any",
	}[typ]
	must.Eq(t, want, attr.GetType(), must.Sprint(at))
	must.False(t, repeated && want == "any", must.Sprintf("%s: a free-form attribute in a repeated block crashes Nomad's client", at))
}

// Everything a user can write, decoded the way Nomad decodes it.
func TestTaskConfig_decode(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(taskConfigSpec()).ParseHCL(t, `config {
	  service      = "web"
	  service_port = "http"
	  sidecar_service {
	    port = "mesh"
	    tags = ["a", "b"]
	    meta {
	      team = "shop"
	    }
	    disable_default_tcp_check = true
	    proxy {
	      local_service_address = "127.0.0.1"
	      local_service_port    = 8080
	      config {
	        protocol         = "http"
	        envoy_stats_tags = ["x=1", "y"]
	        nested           = { limit = 3 }
	      }
	      mesh_gateway {
	        mode = "local"
	      }
	      expose {
	        path {
	          path            = "/health"
	          protocol        = "http"
	          local_path_port = 8080
	          listener_port   = "health"
	        }
	      }
	      upstreams {
	        destination_name = "db"
	        port             = "up_db"
	        config {
	          connect_timeout_ms = 500
	          limits {
	            max_connections = 0
	          }
	          passive_health_check {
	            interval = "10s"
	          }
	        }
	      }
	      upstreams {
	        destination_name       = "cache"
	        local_bind_socket_path = "/run/cache.sock"
	        local_bind_socket_mode = "0660"
	        mesh_gateway {
	          mode = "remote"
	        }
	      }
	    }
	  }
	  envoy {
	    args        = ["--component-log-level", "upstream:debug"]
	    concurrency = 2
	  }
	  consul {
	    address = "127.0.0.1:8500"
	  }
	  ready {
	    timeout = "5s"
	  }
	}`, &got)

	zero := 0
	want := TaskConfig{
		Service: "web", ServicePort: "http",
		SidecarService: &SidecarService{
			Port: "mesh", Tags: []string{"a", "b"}, Meta: map[string]string{"team": "shop"}, DisableDefaultTCPCheck: true,
			Proxy: &Proxy{
				LocalServiceAddress: "127.0.0.1", LocalServicePort: 8080,
				Config:      got.SidecarService.Proxy.Config, // looked at below
				MeshGateway: &MeshGateway{Mode: "local"},
				Expose:      &Expose{Paths: []ExposePath{{Path: "/health", Protocol: "http", LocalPathPort: 8080, ListenerPort: "health"}}},
				Upstreams: []Upstream{
					{DestinationName: "db", Port: "up_db", Config: &UpstreamConfig{
						ConnectTimeoutMs:   500,
						Limits:             &UpstreamLimits{MaxConnections: &zero},
						PassiveHealthCheck: &PassiveHealthCheck{Interval: "10s"},
					}},
					{DestinationName: "cache", LocalBindSocketPath: "/run/cache.sock", LocalBindSocketMode: "0660", MeshGateway: &MeshGateway{Mode: "remote"}},
				},
			},
		},
		Envoy:  &EnvoyConfig{Args: []string{"--component-log-level", "upstream:debug"}, Concurrency: 2},
		Consul: &TaskConsulConfig{Address: "127.0.0.1:8500"},
		Ready:  &ReadyConfig{Timeout: "5s"},
	}
	must.Eq(t, want, got)

	config, err := proxyConfig("config", got.SidecarService.Proxy.Config, taskOnHost())
	must.NoError(t, err)
	must.Eq[any](t, "http", config["protocol"])
	must.Eq[any](t, []any{"x=1", "y"}, config["envoy_stats_tags"])
}

func TestTaskConfig_decodeEmpty(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(taskConfigSpec()).ParseHCL(t, `config {}`, &got)
	must.Eq(t, TaskConfig{}, got)
}
