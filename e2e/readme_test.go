package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
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

// around are what tests do before and after a line of a document is typed.
type around map[string]func(typed func() (out string))

// follow types the lines of a document, one after the other, as somebody does who
// reads it. Each must succeed, and all that is to be done around them must be done.
func follow(t *testing.T, c *agents.Cluster, document string, do around) {
	t.Helper()
	root, err := filepath.Abs("..")
	must.NoError(t, err)
	missing := maps.Clone(do)
	for _, line := range commandsOf(t, document) {
		line = strings.TrimSpace(line)
		typed := func() string {
			cmd := c.Shell(t.Context(), line)
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			must.NoError(t, err, must.Sprintf("$ %s\n%s", line, out))
			for _, sentence := range shown[line] {
				must.StrContains(t, string(out), sentence)
			}
			return string(out)
		}
		if around, ok := do[line]; ok {
			around(typed)
			delete(missing, line)
		} else {
			typed()
		}
	}
	must.MapEmpty(t, missing, must.Sprintf("lines that are not in %s", document))
}

// followed are documents that tests of their own follow.
var followed = []string{calculatorReadme, countReadme}

// What the other documents tell a reader to type works.
func TestDocuments(t *testing.T) {
	documents, err := filepath.Glob("../example-jobs/*/README.md")
	must.NoError(t, err)
	more, err := filepath.Glob("../docs/*.md")
	must.NoError(t, err)
	documents = append(documents, more...)
	c := cluster(t)
	for _, document := range append(documents, "../README.md") {
		if slices.Contains(followed, document) {
			continue
		}
		t.Run(strings.TrimPrefix(document, "../"), func(t *testing.T) {
			defer func() { // also when a command has failed
				must.NoError(t, c.PurgeJobs(t.Context()))
				nothingLeft(t, c)
			}()
			do := around{}
			if document == "../README.md" {
				do["make test"] = func(func() string) { // this is it; CI types the same
					ci, err := os.ReadFile("../.ci/run")
					must.NoError(t, err)
					must.StrContains(t, string(ci), "\nmake test\n")
				}
			}
			follow(t, c, document, do)
		})
	}
}
