package bootstrap

import (
	"os"
	"testing"

	"github.com/shoenig/test/must"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	must.NoError(t, err)
	return content
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	must.NoError(t, os.WriteFile(name, content, 0o644))
}
