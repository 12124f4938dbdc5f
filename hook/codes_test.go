package hook

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// Codes has those that are in use, and people read of each of them.
func TestCodes(t *testing.T) {
	t.Parallel()
	used := codesInUse(t)
	must.Eq(t, slices.Sorted(slices.Values(Codes)), used)
	text, err := os.ReadFile("../docs/check.md")
	must.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| code | what the author expects |")
	must.True(t, found)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented = append(documented, row[1])
	}
	must.Eq(t, slices.Sorted(slices.Values(append(slices.Clone(Codes), CodeRefused))), slices.Sorted(slices.Values(documented)))
	var tested []string
	for _, tc := range checkCases {
		tested = append(tested, tc.code)
	}
	for _, r := range stanza.Rows() {
		result, err := transform(parse(t, stanza.Job(r.Group)), Options{DynamicPorts: r.Dynamic})
		must.NoError(t, err)
		tested = append(tested, codesOf(result.Warnings)...)
	}
	for _, code := range Codes {
		must.SliceContains(t, tested, code, must.Sprintf("%s has no test", code))
	}
}

// codesInUse are those that the package's source gives to findings.
func codesInUse(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	must.NoError(t, err)
	found := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		must.NoError(t, err)
		ast.Inspect(tree, func(n ast.Node) bool {
			if code := codeOf(n); code != "" {
				found[code] = true
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// codeOf is the code of warn("code", …), find("code", …) or Finding{Code: "code"}.
func codeOf(n ast.Node) string {
	var literal ast.Expr
	switch node := n.(type) {
	case *ast.CallExpr:
		f, ok := node.Fun.(*ast.SelectorExpr)
		if !ok || len(node.Args) != 3 && len(node.Args) != 4 || f.Sel.Name != "warn" && f.Sel.Name != "find" {
			return ""
		}
		literal = node.Args[0]
	case *ast.KeyValueExpr:
		if key, ok := node.Key.(*ast.Ident); !ok || key.Name != "Code" {
			return ""
		}
		literal = node.Value
	}
	basic, ok := literal.(*ast.BasicLit)
	if !ok || basic.Kind != token.STRING {
		return ""
	}
	code, err := strconv.Unquote(basic.Value)
	if err != nil {
		return ""
	}
	return code
}
