package command

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// newFlags makes a set of flags that leaves it to the command to tell of
// mistakes.
func newFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// stringList is a flag that may be given more than once.
type stringList []string

func (l *stringList) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *stringList) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// helpOf lists flags as consul does: the name with its value, then what it
// does.
func helpOf(fs *flag.FlagSet) string {
	var b strings.Builder
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = "=<" + value + ">"
		}
		fmt.Fprintf(&b, "  -%s%s\n", f.Name, value)
		for _, line := range wrap(usage, 72) {
			fmt.Fprintf(&b, "     %s\n", line)
		}
		b.WriteString("\n")
	})
	return b.String()
}

// wrap breaks a text into lines of at most width characters where words end.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
