package hook

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// nodeOf is a value of Nomad's API in the order and with the names of job files;
// nil when there is nothing in it.
func nodeOf(value any) *yaml.Node { return node(reflect.ValueOf(value), false) }

// node keeps zeros when somebody has said them: behind a pointer, and in what is
// of any shape.
func node(v reflect.Value, said bool) *yaml.Node {
	if !v.IsValid() {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return node(v.Elem(), true)
	case reflect.Struct:
		return structNode(v, said)
	case reflect.Map:
		return mapNode(v)
	case reflect.Slice:
		return listNode(v)
	default:
		if v.IsZero() && !said {
			return nil
		}
		return scalar(v.Interface())
	}
}

func scalar(value any) *yaml.Node {
	n := &yaml.Node{}
	var err error
	switch v := value.(type) {
	case time.Duration:
		err = n.Encode(v.String())
	case json.Number:
		n.Kind, n.Value = yaml.ScalarNode, v.String()
	default:
		err = n.Encode(value)
	}
	if err != nil { // of no scalar that a job can have
		n = &yaml.Node{Kind: yaml.ScalarNode, Value: err.Error()}
	}
	return n
}

func structNode(v reflect.Value, said bool) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.IsExported() {
			n.Content = appendEntry(n.Content, fieldName(field), node(v.Field(i), false))
		}
	}
	if said { // a block may say something by being there
		return n
	}
	return orNil(n)
}

func mapNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	names := v.MapKeys()
	slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, name := range names {
		n.Content = appendEntry(n.Content, name.String(), node(v.MapIndex(name), true))
	}
	return orNil(n)
}

func listNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		if entry := node(v.Index(i), true); entry != nil {
			n.Content = append(n.Content, entry)
		}
	}
	return orNil(n)
}

func appendEntry(content []*yaml.Node, name string, value *yaml.Node) []*yaml.Node {
	if value == nil {
		return content
	}
	return append(content, scalar(name), value)
}

func orNil(n *yaml.Node) *yaml.Node {
	if len(n.Content) == 0 {
		return nil
	}
	return n
}

// fieldName is what job files call a field.
func fieldName(field reflect.StructField) string {
	if name, _, _ := strings.Cut(field.Tag.Get("hcl"), ","); name != "" {
		return name
	}
	return strings.ToLower(field.Name)
}
