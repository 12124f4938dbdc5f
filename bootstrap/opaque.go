package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"

	"google.golang.org/protobuf/reflect/protoregistry"
)

// any reads an extension's configuration. One that this program does not know
// is taken as it stands; only Envoy can tell whether it is right.
func (h hatch) any(v value) (any, error) {
	if !v.isObject() {
		return nil, h.mistake(v.offset, `an object with an "@type" is expected, got %s`, v.kind())
	}
	if len(v.items) == 0 {
		return map[string]any{}, nil
	}
	url, rest, err := h.split(v)
	if err != nil {
		return nil, err
	}
	known, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if errors.Is(err, protoregistry.NotFound) {
		return opaque(v)
	} else if err != nil {
		return nil, h.mistake(v.offset, "%v", err)
	}
	if known.Descriptor().ParentFile().Package() == "google.protobuf" {
		return v.plain(), nil // protojson reads their forms itself
	}
	strict, err := h.message(rest, known.Descriptor())
	if err != nil {
		return nil, err
	}
	if err := h.decode(v, strict, known.New().Interface()); err != nil {
		return nil, err
	}
	fields, _ := strict.(map[string]any)
	fields["@type"] = url
	return fields, nil
}

// split takes the "@type" out of an object.
func (h hatch) split(v value) (url string, rest value, err error) {
	rest = value{offset: v.offset, token: v.token}
	for i, item := range v.items {
		if v.names[i].text != "@type" {
			rest.names, rest.items = append(rest.names, v.names[i]), append(rest.items, item)
			continue
		}
		var ok bool
		if url, ok = item.token.(string); !ok || !typeURL.MatchString(url) {
			return "", rest, h.mistake(item.offset, `"@type": a type URL such as %q is expected`, typePrefix+"envoy.config.trace.v3.ZipkinConfig")
		}
	}
	if url == "" {
		return "", rest, h.mistake(v.offset, `the "@type" is missing`)
	}
	return url, rest, nil
}

const typePrefix = "type.googleapis.com/"

var typeURL = regexp.MustCompile(`^type\.googleapis\.com/[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)

// opaqueKey marks the Struct that stands for an unknown extension's configuration.
const opaqueKey = "nomad-driver-connect: opaque"

const structType = typePrefix + "google.protobuf.Struct"

// opaque packs an unknown configuration, so that the typed message can carry it.
// It is text there: a Struct's numbers would lose digits.
func opaque(v value) (any, error) {
	text, err := json.Marshal(v.plain())
	return map[string]any{"@type": structType, "value": map[string]any{opaqueKey: string(text)}}, err
}

// reveal unpacks the opaque parts of a message's JSON again.
func reveal(text []byte) ([]byte, error) {
	var doc any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	return json.Marshal(unpack(doc))
}

func unpack(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if packed, ok := v["value"].(map[string]any); ok && v["@type"] == structType {
			if text, ok := packed[opaqueKey].(string); ok {
				return json.RawMessage(text)
			}
		}
		for key, item := range v {
			v[key] = unpack(item)
		}
	case []any:
		for i, item := range v {
			v[i] = unpack(item)
		}
	}
	return v
}
