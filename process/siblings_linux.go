package process

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxSiblings is how many processes of a group's siblings are looked at: enough to find
// a server, whatever else they have started.
const maxSiblings = 200

// SiblingListeners are the TCP addresses at which processes of the groups beside this
// one listen that are called by a prefix; sorted. What cannot be read says nothing.
func (c Cgroup) SiblingListeners(prefix string) []netip.AddrPort {
	own := map[uint64]bool{}
	networks := map[string]int{} // who is in each of their namespaces
	for _, pid := range c.siblings(prefix) {
		open, err := socketsOf(pid)
		network, nsErr := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil || nsErr != nil {
			continue // it has ended
		}
		networks[network] = pid
		for _, socket := range open {
			own[socket.inode] = true
		}
	}
	var found []netip.AddrPort
	for _, pid := range networks {
		_ = eachSocket(pid, func(s netSocket) { // or as much as there is
			if s.listens && own[s.inode] {
				found = append(found, s.local)
			}
		})
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	return slices.Compact(found)
}

// siblings are the processes of those groups. Where the groups of tasks with cores of
// their own are apart from the others, all are looked at.
func (c Cgroup) siblings(prefix string) []int {
	parents, err := readNames(filepath.Dir(filepath.Dir(c.tasks())))
	if c.tasks() == "" || err != nil {
		return nil
	}
	var pids []int
	for _, parent := range parents {
		dir := filepath.Join(filepath.Dir(filepath.Dir(c.tasks())), parent)
		names, err := readNames(dir)
		if err != nil {
			continue // no directory
		}
		for _, name := range names {
			group := filepath.Join(dir, name)
			if !strings.HasPrefix(name, prefix) || group == filepath.Clean(c.tasks()) {
				continue
			}
			members, err := Cgroup{Unified: group}.Processes()
			if err == nil {
				pids = append(pids, members...)
			}
		}
	}
	return pids[:min(len(pids), maxSiblings)]
}
