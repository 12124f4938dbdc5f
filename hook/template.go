package hook

import (
	"regexp"
	"strings"
)

// reference is a variable in a text, as Nomad fills it in on the client.
var reference = regexp.MustCompile(`^\$\{([a-zA-Z0-9_.-]+|env\["[^"]*"\])\}`)

// escape makes texts of the connect block the same texts of a task's config,
// which Nomad's client reads as templates. References to variables are such in
// both.
func escape(value any) any {
	switch v := value.(type) {
	case string:
		return escapeText(v)
	case []string:
		out := make([]any, len(v))
		for i, entry := range v {
			out[i] = escapeText(entry)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, entry := range v {
			out[i] = escape(entry)
		}
		return out
	case map[string]string:
		out := map[string]any{}
		for key, entry := range v {
			out[escapeText(key)] = escapeText(entry)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, entry := range v {
			out[escapeText(key)] = escape(entry)
		}
		return out
	}
	return value
}

func escapeText(text string) string {
	text = strings.ReplaceAll(text, "%{", "%%{")
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if !reference.MatchString("${" + after) {
			out.WriteString("$")
		}
		out.WriteString("${")
		text = after
	}
}
