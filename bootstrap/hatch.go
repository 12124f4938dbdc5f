package bootstrap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A hatch is a key of Proxy.Config that holds Envoy's own JSON. It is read as
// the message that it claims to be. Envoy's reader is laxer than Go's: it takes
// an object where a list of objects is expected, a list within a list that is
// pasted, enumerators in any case or as numbers, and "true" for true; so does
// this one.

// readObject reads one object into m.
func readObject(text string, m proto.Message) error {
	h := hatch{jsonText{"", text, ""}}
	v, err := h.parse()
	if err != nil {
		return err
	}
	return h.read(v, m)
}

// readList reads one object or more, separated by commas.
func readList[M proto.Message](text string, empty func() M) ([]M, error) {
	h := hatch{jsonText{"[", text, "]"}}
	list, err := h.parse()
	if err != nil {
		return nil, err
	}
	if len(list.items) == 0 {
		return nil, h.mistake(0, "an object (%s) is expected", empty().ProtoReflect().Descriptor().FullName())
	}
	items := list.items
	if len(items) == 1 && items[0].isList() { // brackets of the user's own, which Envoy forgives, too
		items = items[0].items
	}
	out := make([]M, 0, len(items))
	for _, item := range items {
		m := empty()
		if err := h.read(item, m); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

type hatch struct{ jsonText }

func (h hatch) read(v value, m proto.Message) error {
	strict, err := h.message(v, m.ProtoReflect().Descriptor())
	if err != nil {
		return err
	}
	return h.decode(v, strict, m)
}

// decode reads what conforms, and applies the rules that Envoy's messages carry.
func (h hatch) decode(v value, strict any, m proto.Message) error {
	text, err := json.Marshal(strict)
	if err != nil {
		return h.mistake(v.offset, "%v", err)
	}
	if err := protojson.Unmarshal(text, m); err != nil {
		return h.mistake(v.offset, "it is no %s: %s", m.ProtoReflect().Descriptor().FullName(), withoutPosition(err))
	}
	if err := validate(m); err != nil {
		return h.mistake(v.offset, "%v", err)
	}
	return nil
}

// protojsonPrefix is what protojson puts before its errors; its position is
// that in our own text.
var protojsonPrefix = regexp.MustCompile(`^proto:[\s\x{a0}]*|\(line \d+:\d+\):[\s\x{a0}]*`)

func withoutPosition(err error) string {
	return protojsonPrefix.ReplaceAllString(err.Error(), "")
}

// message checks an object and gives it as Go's strict reader wants it.
func (h hatch) message(v value, d protoreflect.MessageDescriptor) (any, error) {
	if d.FullName() == "google.protobuf.Any" {
		return h.any(v)
	}
	if d.ParentFile().Package() == "google.protobuf" {
		return h.wellKnown(v, d)
	}
	if !v.isObject() {
		return nil, h.mistake(v.offset, "an object (%s) is expected, got %s", d.FullName(), v.kind())
	}
	out := make(map[string]any, len(v.items))
	for i, item := range v.items {
		key := v.names[i]
		f := field(d, key.text)
		if f == nil {
			return nil, h.mistake(key.offset, "%s has no field %q", d.FullName(), key.text)
		}
		if _, twice := out[f.JSONName()]; twice {
			return nil, h.mistake(key.offset, "%q is given twice", key.text)
		}
		strict, err := h.field(item, f)
		if err != nil {
			return nil, err
		}
		out[f.JSONName()] = strict
	}
	return out, nil
}

// wellKnown reads durations, structs and wrappers: each has a form of its own.
func (h hatch) wellKnown(v value, d protoreflect.MessageDescriptor) (any, error) {
	plain := v.plain()
	if d.FullName() == "google.protobuf.BoolValue" {
		plain = boolean(plain)
	}
	known, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, h.mistake(v.offset, "%v", err)
	}
	return plain, h.decode(v, plain, known.New().Interface())
}

// boolean takes "true" for true, as Envoy does.
func boolean(token any) any {
	switch token {
	case "true":
		return true
	case "false":
		return false
	}
	return token
}

func field(d protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if f := d.Fields().ByJSONName(key); f != nil {
		return f
	}
	return d.Fields().ByTextName(key)
}

func (h hatch) field(v value, f protoreflect.FieldDescriptor) (any, error) {
	switch {
	case v.token == nil: // null: as if it were not there
		return nil, nil
	case f.IsMap():
		if !v.isObject() {
			return nil, h.mistake(v.offset, "%s: an object is expected, got %s", f.Name(), v.kind())
		}
		out := make(map[string]any, len(v.items))
		for i, item := range v.items {
			strict, err := h.single(item, f.MapValue())
			if err != nil {
				return nil, err
			}
			out[v.names[i].text] = strict
		}
		return out, nil
	case f.IsList():
		items := v.items
		if !v.isList() {
			items = []value{v}
		}
		out := make([]any, 0, len(items))
		for _, item := range items {
			strict, err := h.single(item, f)
			if err != nil {
				return nil, err
			}
			out = append(out, strict)
		}
		return out, nil
	}
	return h.single(v, f)
}

func (h hatch) single(v value, f protoreflect.FieldDescriptor) (any, error) {
	if d := f.Message(); d != nil {
		return h.message(v, d)
	}
	if e := f.Enum(); e != nil {
		return h.enum(v, f, e)
	}
	token := v.token
	if f.Kind() == protoreflect.BoolKind {
		token = boolean(token)
	}
	want, fits := expected(f.Kind(), token)
	if !fits {
		return nil, h.mistake(v.offset, "%s: %s is expected, got %s", f.Name(), want, v.kind())
	}
	return token, nil
}

// expected says what a scalar field takes; numbers may be written as strings.
func expected(kind protoreflect.Kind, token any) (want string, fits bool) {
	_, isBool := token.(bool)
	_, isText := token.(string)
	number := fmt.Sprint(token)
	switch kind {
	case protoreflect.BoolKind:
		return "a boolean", isBool
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "a string", isText
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return "a whole number of 32 bits", integer(number, 32, false) == nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return "a whole number of 64 bits", integer(number, 64, false) == nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return "a whole number of 32 bits, not below 0,", integer(number, 32, true) == nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "a whole number of 64 bits, not below 0,", integer(number, 64, true) == nil
	default: // float, double
		_, err := strconv.ParseFloat(number, 64)
		return "a number", err == nil && !isBool
	}
}

// integer is nil for a whole number of that size, which may be written 1e3 or 5.0.
func integer(text string, bits int, unsigned bool) error {
	if strings.ContainsAny(text, ".eE") {
		number, err := strconv.ParseFloat(text, 64)
		if err != nil || number != math.Trunc(number) {
			return strconv.ErrSyntax
		}
		text = strconv.FormatFloat(number, 'f', 0, 64)
	}
	if unsigned {
		_, err := strconv.ParseUint(text, 10, bits)
		return err
	}
	_, err := strconv.ParseInt(text, 10, bits)
	return err
}

func (h hatch) enum(v value, f protoreflect.FieldDescriptor, e protoreflect.EnumDescriptor) (any, error) {
	text, ok := v.token.(string)
	if !ok {
		if _, number := v.token.(json.Number); number {
			return v.token, nil
		}
		return nil, h.mistake(v.offset, "%s: a string is expected, got %s", f.Name(), v.kind())
	}
	if number, err := strconv.ParseInt(text, 10, 32); err == nil {
		return number, nil
	}
	names := make([]string, 0, e.Values().Len())
	for i := range e.Values().Len() {
		known := string(e.Values().Get(i).Name())
		if strings.EqualFold(known, text) {
			return known, nil
		}
		names = append(names, known)
	}
	return nil, h.mistake(v.offset, "%s: %q is unknown; it is one of %s", f.Name(), text, strings.Join(names, ", "))
}

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

// validate applies the rules that Envoy's messages carry.
func validate(m proto.Message) error {
	ruled, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return nil
	}
	if err := ruled.ValidateAll(); err != nil {
		return fmt.Errorf("it breaks Envoy's rules: %w", err)
	}
	return nil
}

// quoteList lists names for a sentence.
func quoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted, ", ")
}
