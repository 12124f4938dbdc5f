package driver

import (
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// A proxy runs as a user of its own, and an app as another one: what each of them makes
// for itself and its group, the other cannot use. The directory of a socket is therefore
// given to both, and the job names the app's group.

// groupSocketMode is that of a socket whose directory lets only a group in.
const groupSocketMode = "0660"

// groupSocket is a socket that the job opens to a group.
type groupSocket struct {
	field  string // of the path
	path   string
	group  string // empty for none
	filled bool   // by the group's members
}

func (s groupSocket) groupField() string { return s.field[:len(s.field)-len("path")] + "group" }

// groupSockets are all sockets of a proxy, those without a group, too.
func groupSockets(p *Proxy) []groupSocket {
	if p == nil {
		return nil
	}
	const field = "sidecar_service.proxy"
	all := []groupSocket{{field: field + ".local_service_socket_path", path: p.LocalServiceSocketPath, group: p.LocalServiceSocketGroup, filled: true}}
	for i, u := range p.Upstreams {
		all = append(all, groupSocket{field: fmt.Sprintf("%s.upstreams[%d].local_bind_socket_path", field, i), path: u.LocalBindSocketPath, group: u.LocalBindSocketGroup})
	}
	return all
}

// socketDirs are the directories to be made for the sockets of groups.
func socketDirs(task *drivers.TaskConfig, p *Proxy) ([]sidecar.SocketDir, error) {
	var dirs []sidecar.SocketDir
	for _, s := range groupSockets(p) {
		if s.group == "" {
			continue
		}
		dir, err := s.dir(allocDirOf(runDir(task)))
		if err != nil {
			return nil, err
		}
		if dirs, err = addSocketDir(dirs, dir); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

// dir is the directory of the socket, below the allocation's.
func (s groupSocket) dir(allocDir string) (sidecar.SocketDir, error) {
	d := sidecar.SocketDir{Field: s.field, Path: filepath.Dir(filepath.Clean(s.path)), GroupName: s.group, Filled: s.filled}
	if s.path == "" {
		return d, sidecar.Invalidf(s.groupField(), "goes only with a socket's path")
	}
	if !isBelow(d.Path, allocDir) {
		return d, sidecar.Invalidf(s.field, "%q is not in a directory of its own below the allocation's, and no other is opened to a group; ${NOMAD_ALLOC_DIR}/tmp/mesh/<name>.sock is one that every task of the group reaches", s.path)
	}
	var err error
	d.Group, err = lookUpGroup(s.groupField(), s.group)
	return d, err
}

// addSocketDir refuses a directory that two sockets want in different ways.
func addSocketDir(dirs []sidecar.SocketDir, dir sidecar.SocketDir) ([]sidecar.SocketDir, error) {
	for _, other := range dirs {
		if other.Path != dir.Path {
			continue
		}
		if other.Group == dir.Group && other.Filled == dir.Filled {
			return dirs, nil
		}
		return nil, sidecar.Invalidf(dir.Field, "%s is the directory of %s already, which is opened to the group %s in another way; give each a directory of its own", dir.Path, other.Field, other.GroupName)
	}
	return append(dirs, dir), nil
}

// lookUpGroup finds a group of this machine by its name or number. A group gets nothing
// by it but the way to the socket, so that a job may name any; root's needs none.
func lookUpGroup(field, name string) (uint32, error) {
	number := name
	if known, err := user.LookupGroup(name); err == nil {
		number = known.Gid
	}
	gid, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, sidecar.Invalidf(field, "%q is not a group of this machine", name)
	}
	if gid == 0 {
		return 0, sidecar.Invalidf(field, "%q is root's group, and root reaches every socket; name the group of the app's user", name)
	}
	return uint32(gid), nil
}
