package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"   // packed in bootstraps
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3" // packed in bootstraps
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// readBootstrap reads JSON as Envoy does, which is laxer than Go: it takes an
// object where a list of them is expected, as the consul command prints it,
// and enumerators in any case.
func readBootstrap(t *testing.T, text []byte) *bootstrapv3.Bootstrap {
	t.Helper()
	var doc any
	must.NoError(t, json.Unmarshal(text, &doc))
	b := &bootstrapv3.Bootstrap{}
	strict, err := json.Marshal(strictly(doc, b.ProtoReflect().Descriptor()))
	must.NoError(t, err)
	must.NoError(t, protojson.Unmarshal(strict, b), must.Sprintf("%s", text))
	return b
}

func strictly(doc any, d protoreflect.MessageDescriptor) any {
	object, ok := doc.(map[string]any)
	if !ok {
		return doc
	}
	if url, ok := object["@type"].(string); ok {
		known, err := protoregistry.GlobalTypes.FindMessageByURL(url)
		if err != nil {
			return doc
		}
		d = known.Descriptor()
	}
	for name, value := range object {
		f := d.Fields().ByJSONName(name)
		if f == nil {
			f = d.Fields().ByTextName(name)
		}
		if f == nil || f.IsMap() && f.MapValue().Message() == nil {
			continue
		}
		if f.IsMap() {
			for key, item := range value.(map[string]any) {
				value.(map[string]any)[key] = strictly(item, f.MapValue().Message())
			}
			continue
		}
		list, isList := value.([]any)
		if f.IsList() && !isList {
			list = []any{value}
		}
		if !f.IsList() {
			object[name] = strictValue(value, f)
			continue
		}
		list = flat(list) // the user's brackets within those of the consul command
		for i := range list {
			list[i] = strictValue(list[i], f)
		}
		object[name] = list
	}
	return object
}

func flat(list []any) []any {
	var out []any
	for _, item := range list {
		if nested, ok := item.([]any); ok {
			out = append(out, nested...)
		} else {
			out = append(out, item)
		}
	}
	return out
}

func strictValue(value any, f protoreflect.FieldDescriptor) any {
	if f.Message() != nil {
		return strictly(value, f.Message())
	}
	if text, ok := value.(string); ok && f.Enum() != nil {
		return strings.ToUpper(text)
	}
	return value
}
