package differential

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Difference is a kind of difference between the two ways. In each text * is
// anything, and nothing is "-".
type Difference struct {
	Name   string // of what differs, as a view has it
	Native string // in bridge mode, as Nomad's server makes it
	Ours   string // on the host network, through the hook
	Why    string
}

// matches tells whether it is of that kind.
func (d Difference) matches(name, native, ours string) bool {
	return glob(d.Name, name) && glob(d.Native, cmp.Or(native, "-")) && glob(d.Ours, cmp.Or(ours, "-"))
}

func glob(pattern, text string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	return regexp.MustCompile(`(?s)^` + quoted + `$`).MatchString(text)
}

// Compare gives what differs and is in no row of the table. The rows that explain
// something are noted.
func Compare(native, ours map[string]string, used map[int]bool) (unexplained []string) {
	names := map[string]bool{}
	for _, view := range []map[string]string{native, ours} {
		for name := range view {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if native[name] == ours[name] {
			continue
		}
		i := slices.IndexFunc(Table(), func(d Difference) bool { return d.matches(name, native[name], ours[name]) })
		if i < 0 {
			unexplained = append(unexplained, fmt.Sprintf("%s: %q natively, %q through the hook", name, native[name], ours[name]))
			continue
		}
		used[i] = true
	}
	return unexplained
}
