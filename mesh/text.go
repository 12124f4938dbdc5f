package mesh

import (
	"slices"
	"strconv"
	"strings"
)

// quoteAll lists names for a sentence: sorted, quoted, "none" when empty.
func quoteAll(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, 0, len(names))
	for _, n := range slices.Sorted(slices.Values(names)) {
		quoted = append(quoted, strconv.Quote(n))
	}
	return strings.Join(quoted, ", ")
}

// mostOfLine is how much of somebody else's text a sentence holds.
const mostOfLine = 200

// firstLine is that of somebody else's text, shortened.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(line)
	if runes := []rune(line); len(runes) > mostOfLine {
		return string(runes[:mostOfLine]) + "…"
	}
	return line
}
