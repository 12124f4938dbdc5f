package serve

import (
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

// keyOf is the key of raw that has the name in known; empty for none.
func keyOf(raw, known map[string]any, name string) string {
	if _, ok := known[name]; !ok {
		return ""
	}
	for key := range raw {
		if is, ok := nameIn(known, raw, key); ok && is == name {
			return key
		}
	}
	return ""
}

// pair says for each entry of after which of before it is; -1 for a new one.
// Tasks and services have names and ports have labels. What has none, or has got
// another, is the equal one, or else that of its place.
func pair(before, after []any) []int {
	from := make([]int, len(after))
	for i := range from {
		from[i] = -1
	}
	taken := make([]bool, len(before))
	take := func(same func(i, j int) bool) {
		for i := range after {
			for j := range before {
				if from[i] < 0 && !taken[j] && same(i, j) {
					from[i], taken[j] = j, true
				}
			}
		}
	}
	take(func(i, j int) bool { return reflect.DeepEqual(after[i], before[j]) })
	take(func(i, j int) bool { return identity(after[i]) != "" && identity(after[i]) == identity(before[j]) })
	if len(before) == len(after) {
		take(func(i, j int) bool { return i == j && isObject(after[i]) && isObject(before[j]) })
	}
	return from
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
