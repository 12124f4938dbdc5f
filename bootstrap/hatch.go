package bootstrap

import (
	"encoding/json"
	"fmt"
	"regexp"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
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
