package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// root is the directory of the project.
const root = "../.."

func modulesOf(t *testing.T) []module {
	t.Helper()
	modules, err := linked(t.Context(), root)
	must.NoError(t, err)
	must.Positive(t, len(modules))
	return modules
}

// The document says what is linked, no more and no less.
func TestDocument(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join(root, "docs", "licenses.md"))
	must.NoError(t, err)
	_, written, ok := strings.Cut(string(document), "## The modules\n\n")
	must.True(t, ok)
	must.Eq(t, table(modulesOf(t)), written, must.Sprint("put the output of `go run ./e2e/licenses table` at the end of docs/licenses.md"))
}

// All are licences that the project can be given away with; only Nomad's own code is
// under one that is not open source.
func TestLicenses_allowed(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"Apache-2.0", "Apache-2.0 AND MIT", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause AND MIT",
		"BSD-3-Clause OR GPL-2.0-only", "ISC", "MIT", "MPL-2.0",
	}
	for _, m := range modulesOf(t) {
		for _, l := range m.Licenses {
			if l.SPDX == "BUSL-1.1" && m.Path == "github.com/hashicorp/nomad" {
				must.False(t, slices.ContainsFunc(l.Packages, func(p string) bool {
					return strings.HasPrefix(p, m.Path+"/plugins") || strings.HasPrefix(p, m.Path+"/jobspec2")
				}), must.Sprint("docs/licenses.md says that these are not"))
				continue
			}
			must.SliceContains(t, allowed, l.SPDX, must.Sprintf("%s: %s", m.Path, strings.Join(l.Packages, ", ")))
		}
	}
}

// Each text stands once, below all modules that it is of.
func TestNotices(t *testing.T) {
	t.Parallel()
	one := license{SPDX: "MIT", Files: []file{{"LICENSE", "text one\n"}}}
	two := license{SPDX: "ISC", Folder: "x", Files: []file{{"LICENSE", "text two\n"}}}
	got := notices([]module{{Path: "a", Version: "v1", Licenses: []license{one}}, {Path: "b", Version: "v2", Licenses: []license{one, two}}})
	must.Eq(t, 1, strings.Count(got, "text one"))
	must.StrContains(t, got, "a v1\nb v2\n\ntext one\n")
	must.StrContains(t, got, "\nb v2\n\ntext two\n")
}

func TestCompleteSBOM(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sbom.json")
	write := func() {
		must.NoError(t, os.WriteFile(path, []byte(`{"components": [{"name": "std", "version": "v0"}, {"name": "a", "version": "v1"}]}`), 0o644))
	}
	a := module{Path: "a", Version: "v1", Licenses: []license{{SPDX: "MIT"}, {SPDX: "ISC", Folder: "x"}}}
	write()
	must.NoError(t, completeSBOM(path, []module{a}))
	var bom struct {
		Components []struct {
			Name     string
			Licenses []struct{ Expression string }
		}
	}
	content, err := os.ReadFile(path)
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(content, &bom))
	must.Eq(t, "(MIT) AND (ISC)", bom.Components[1].Licenses[0].Expression)

	write()
	must.ErrorContains(t, completeSBOM(path, []module{a, {Path: "b", Version: "v2"}}), "does not have the module b@v2")
}

// A text of no known kind is for a person to read.
func TestIdentify_unknown(t *testing.T) {
	t.Parallel()
	_, err := identify([]file{{"LICENSE", "You may look at it."}})
	must.ErrorContains(t, err, "LICENSE is of a kind that is not known here")
}

// The same sources make the same binary, wherever they lie.
func TestReproducible(t *testing.T) {
	t.Parallel()
	must.FileExists(t, filepath.Join(root, "bin", "nomad-driver-connect"), must.Sprint("make build"))
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "e2e", "tools", "reproducible.sh")).CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
}
