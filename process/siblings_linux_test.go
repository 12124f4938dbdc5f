package process

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoenig/test/must"
)

// Where the tasks beside a proxy listen is known, whichever slice they are in; the proxy
// itself and other allocations are left out. (The test is the kernel of the groups.)
func TestCgroup_siblingListeners(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	group := func(path string, pids ...int) string {
		dir := filepath.Join(root, path)
		must.NoError(t, os.MkdirAll(dir, 0o755))
		var text string
		for _, pid := range pids {
			text += fmt.Sprintln(pid)
		}
		must.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o600))
		return dir
	}
	var pids []int
	var tcp [][]netip.AddrPort // of each one
	for range 4 {
		p, addresses := startListener(t)
		pids = append(pids, p.ID.PID)
		tcp = append(tcp, []netip.AddrPort{netip.MustParseAddrPort(addresses[0]), netip.MustParseAddrPort(addresses[2])})
	}
	proxy := group("share.slice/a1.proxy.scope", pids[0])
	group("share.slice/a1.app.scope", pids[1], 1<<22)
	group("reserve.slice/a1.other.scope", pids[2])
	group("share.slice/a2.app.scope", pids[3])
	must.NoError(t, os.WriteFile(filepath.Join(root, "cgroup.procs"), nil, 0o600))

	want := slices.Concat(tcp[1], tcp[2])
	slices.SortFunc(want, netip.AddrPort.Compare)
	must.Eq(t, want, Cgroup{Unified: proxy}.SiblingListeners("a1."))
	must.Eq(t, want, Cgroup{Freezer: proxy}.SiblingListeners("a1."))
	must.SliceEmpty(t, Cgroup{Unified: proxy}.SiblingListeners("a3."))
	must.SliceEmpty(t, Cgroup{Unified: "/nowhere/a/b"}.SiblingListeners("a1."))
	must.SliceEmpty(t, Cgroup{}.SiblingListeners("a1."))
}
