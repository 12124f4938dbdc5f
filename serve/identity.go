package serve

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// nameIn is the name that a key of raw has in known: its own, or one that
// differs in case only and that raw has not itself.
func nameIn(known, raw map[string]any, key string) (name string, ok bool) {
	if _, ok := known[key]; ok {
		return key, true
	}
	name = nameOf(known, key)
	_, both := raw[name]
	return name, name != "" && !both
}

// nameOf is the name in an object that a key is, in any case; empty for none.
func nameOf(object map[string]any, key string) string {
	if _, ok := object[key]; ok {
		return key
	}
	for name := range object {
		if strings.EqualFold(name, key) {
			return name
		}
	}
	return ""
}

// keysOf are the keys of raw by the names that they have in known.
func keysOf(raw, known map[string]any) map[string]string {
	keys := map[string]string{}
	for key := range raw {
		if name, ok := nameIn(known, raw, key); ok {
			keys[name] = key
		}
	}
	return keys
}

// pair says for each entry of after which of before it is; -1 for a new one.
// Tasks and services have names and ports have labels. What has none, or has got
// another, is the equal one, or else that of its place. Lists may be long: each
// entry is looked up, and not compared with all others.
func pair(before, after []any) []int {
	p := &pairs{from: make([]int, len(after)), taken: make([]bool, len(before))}
	for i := range p.from {
		p.from[i] = -1
	}
	p.inPlace(before, after, func(i int) bool { return reflect.DeepEqual(after[i], before[i]) })
	p.byKey(before, after, text)
	p.byKey(before, after, identity)
	if len(before) == len(after) {
		p.inPlace(before, after, func(i int) bool { return isObject(after[i]) && isObject(before[i]) })
	}
	return p.from
}

// pairs are those that are found so far.
type pairs struct {
	from  []int
	taken []bool
}

// inPlace takes entries that are at one place in both lists.
func (p *pairs) inPlace(before, after []any, same func(int) bool) {
	for i := range min(len(before), len(after)) {
		if p.from[i] < 0 && !p.taken[i] && same(i) {
			p.from[i], p.taken[i] = i, true
		}
	}
}

// byKey takes entries with the same key, in their order; the empty key is none.
func (p *pairs) byKey(before, after []any, key func(any) string) {
	free := map[string][]int{}
	for j, entry := range before {
		if p.taken[j] {
			continue
		}
		if k := key(entry); k != "" {
			free[k] = append(free[k], j)
		}
	}
	for i, entry := range after {
		if p.from[i] >= 0 || len(free) == 0 {
			continue
		}
		if k := key(entry); len(free[k]) > 0 {
			j := free[k][0]
			p.from[i], p.taken[j], free[k] = j, true, free[k][1:]
		}
	}
}

// text is an entry as JSON, whose keys are in order.
func text(entry any) string {
	out, err := json.Marshal(entry)
	if err != nil {
		panic(err) // it comes from JSON
	}
	return string(out)
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

// identity tells entries of a list from each other; empty for what has none.
func identity(entry any) string {
	object, _ := entry.(map[string]any)
	for _, key := range []string{"Name", "Label"} {
		if name, ok := object[key].(string); ok && name != "" {
			return name
		}
	}
	return ""
}

func entryPath(path string, entry any, i int) string {
	if name := identity(entry); name != "" {
		return fmt.Sprintf("%s[%q]", path, name)
	}
	return fmt.Sprintf("%s[%d]", path, i)
}

// isEmpty tells whether a value says nothing: null, zero, "", {} or [].
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	}
	return value == false || value == "" || fmt.Sprint(value) == "0"
}
