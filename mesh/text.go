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
