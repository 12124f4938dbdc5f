package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// commandsOf are the lines of a document's shell blocks.
func commandsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	must.NoError(t, err)
	var commands []string
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, slices.Collect(strings.Lines(block[1]))...)
	}
	must.Positive(t, len(commands))
	return commands
}

// shown is what some of them print.
var shown = map[string][]string{
	"make demo":                 {"back from instance-0", "back from instance-1", "nothing is left of it"},
	"make demo DEMO=calculator": {"20 clicks at http://127.0.0.1:", ", 0 failed", "requests/s", "nothing is left of it"},
}

// What the documents tell a reader to type works.
func TestDocuments(t *testing.T) {
	root, err := filepath.Abs("..")
	must.NoError(t, err)
	documents, err := filepath.Glob("../example-jobs/*/README.md")
	must.NoError(t, err)
	c := newBridgedCluster(t)
	defer func() { must.NoError(t, c.Close(context.WithoutCancel(t.Context()))) }()
	for _, document := range append(documents, "../README.md") {
		t.Run(strings.TrimPrefix(document, "../"), func(t *testing.T) {
			defer func() { // also when a command has failed
				must.NoError(t, c.PurgeJobs(t.Context()))
				nothingLeft(t, c)
			}()
			for _, line := range commandsOf(t, document) {
				line = strings.TrimSpace(line)
				if line == "make test" { // this is it; CI types the same
					ci, err := os.ReadFile("../.ci/run")
					must.NoError(t, err)
					must.StrContains(t, string(ci), "\nmake test\n")
					continue
				}
				cmd := c.Shell(t.Context(), line)
				cmd.Dir = root
				out, err := cmd.CombinedOutput()
				must.NoError(t, err, must.Sprintf("$ %s\n%s", line, out))
				for _, sentence := range shown[line] {
					must.StrContains(t, string(out), sentence)
				}
			}
		})
	}
}
