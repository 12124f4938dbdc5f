package bootstrap

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxSocketPath is how long the path of a unix socket may be.
const maxSocketPath = 107

func socketPath(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("the socket's path %q has %d characters; it may have %d", path, len(path), maxSocketPath)
	}
	return clean(path)
}

// clean refuses what the consul command, which pastes texts into JSON, would
// make something else of.
func clean(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("it is not UTF-8")
	}
	for _, r := range text {
		if r == '"' || r == '\\' || r < ' ' {
			return fmt.Errorf("it contains %q; quotes, backslashes and control characters are not taken", r)
		}
	}
	return nil
}

// quoteList lists names for a sentence.
func quoteList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return strings.Join(quoted, ", ")
}
