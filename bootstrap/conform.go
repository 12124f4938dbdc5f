package bootstrap

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

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
