package driver

import (
	"regexp"
	"testing"

	"github.com/shoenig/test/must"
)

func TestHostOf(t *testing.T) {
	t.Parallel()
	const id, other = "3d1219c7c4c5404aaa1f6d2a48adfda4", "3d1219c7c4c5404aaa1f6d2a48adfda5"
	host := hostOf(id+"\n", "host")
	must.Eq(t, host, hostOf(id, "renamed"))
	must.NotEq(t, host, hostOf(other, "host"))
	must.StrNotContains(t, host, id)
	must.RegexMatch(t, regexp.MustCompile(`^[0-9a-f]{32}$`), host)
	for _, none := range []string{"", "uninitialized\n", id[:30], "not hexadecimal at all, but long"} {
		must.Eq(t, "host", hostOf(none, "host"))
	}
}

// What this machine says is what it says again.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	now := thisMachine()
	must.NotEq(t, "", now.host)
	must.NotEq(t, "", now.boot)
	must.Eq(t, now, thisMachine())
}
