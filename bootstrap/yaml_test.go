package bootstrap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// Aliases are for those who write YAML, and not for making much of little.
func TestParseExternal_aliases(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("secret", 100_000)
	deep := "a0: &a0 [secret]\n"
	for i := range 40 {
		deep += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	const tooLarge = "it would be more than 16 MiB with a copy in the place of each of its YAML aliases"
	for _, tc := range []struct{ name, text, want string }{
		{"a few", "node: &n {id: front}\nother: *n\nmerged: {<<: *n}\n", ""},
		{"a long text", "a: &a " + long + "\nb: [" + strings.Repeat("*a, ", 100_000) + "]\n", tooLarge},
		{"a long key", "? &a " + long + "\n: x\nb: [" + strings.Repeat("*a, ", 100) + "]\n", tooLarge},
		{"aliases of aliases", deep, tooLarge},
		{"within itself", "a: &a [*a]\n", tooLarge},
		{"too long", "a: [" + strings.Repeat("x,", 1<<20) + "]\n", "it is YAML of 2097158 bytes, and at most 1048576 are read; write it as JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseExternal([]byte(tc.text), "admin.sock")
			if tc.want == "" {
				must.NoError(t, err)
				must.StrContains(t, string(got.Content), `"other":{"id":"front"}`)
				must.StrContains(t, string(got.Content), `"merged":{"id":"front"}`)
				return
			}
			must.ErrorContains(t, err, tc.want)
			must.StrNotContains(t, err.Error(), "secret")
		})
	}
}
