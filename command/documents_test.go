package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// blocksOf are a document's blocks of a language.
func blocksOf(t *testing.T, document, language string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	must.NoError(t, err)
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	must.SliceNotEmpty(t, blocks)
	return blocks
}

// Each piece of a job on the page on migration is in one of its files.
func TestDocuments_jobs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../docs/migrate/*.nomad.hcl")
	must.NoError(t, err)
	var jobs strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		must.NoError(t, err)
		jobs.Write(text)
	}
	for _, block := range blocksOf(t, "../docs/migrate.md", "hcl") {
		must.StrContains(t, jobs.String(), block)
	}
}

// The command prints what the page on checks shows.
func TestDocuments_check(t *testing.T) {
	t.Parallel()
	_, stdout, _ := runHook("", "-check", "../docs/migrate/compose.nomad.hcl")
	must.Eq(t, blocksOf(t, "../docs/check.md", "text")[0], stdout)
}
