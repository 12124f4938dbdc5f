package sidecar

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
)

// SocketDir is a directory of the allocation for sockets that the members of a group
// share with the proxy, whose user has nothing to do with them. The directory is the
// wall: nobody else passes it. Its set-group-ID bit gives the group to what is made in
// it, so that the group needs no more rights than to enter, and the proxy none of the group's.
type SocketDir struct {
	Field     string // where the user asked for it
	Path      string // absolute
	Group     uint32
	GroupName string

	// Filled says that the group's members make sockets here for the proxy to connect to;
	// else the proxy makes them for the group.
	Filled bool
}

func (d SocketDir) mode() fs.FileMode {
	if d.Filled {
		return fs.ModeDir | fs.ModeSetgid | 0o770
	}
	return fs.ModeDir | fs.ModeSetgid | 0o750
}

// make makes the directory below root and gives it to owner. One that is there must be
// of an earlier run: everything else belongs to somebody.
func (d SocketDir) make(root string, owner process.User) error {
	r, rel, err := openRoot(root, d.Path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	err = r.Mkdir(rel, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		return Invalidf(d.Field, "the directory of the socket, %s, cannot be made, as there is no %s; name a socket in a directory that is one level below what Nomad makes, such as ${NOMAD_ALLOC_DIR}/tmp/mesh/web.sock", d.Path, filepath.Dir(d.Path))
	}
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the directory of a socket: %w", err)
	}
	// By its descriptor from here on: the other tasks may rename what lies beside it.
	f, err := r.OpenFile(rel, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return Invalidf(d.Field, "%s is no directory for a socket of the group %s: %v", d.Path, d.GroupName, err)
	}
	defer func() { _ = f.Close() }()
	if err := d.verify(f, made, owner); err != nil {
		return err
	}
	return d.give(f, owner)
}

// verify makes sure that what was opened is what we made, now or in an earlier run.
func (d SocketDir) verify(f *os.File, made bool, owner process.User) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	entries, err := f.ReadDir(maxSockets + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("look into the directory of a socket, %s: %w", d.Path, err)
	}
	if made {
		if stat.Uid != uint32(os.Geteuid()) || info.Mode() != fs.ModeDir|0o700 || len(entries) > 0 {
			return fmt.Errorf("the directory %s was made for the sockets of group %s, and somebody has put another in its place", d.Path, d.GroupName)
		}
		return nil
	}
	if stat.Gid != d.Group || info.Mode() != d.mode() {
		return Invalidf(d.Field, "the directory of the socket, %s, is there already (mode %s, group %d), and what is in it would be open to the group %s; name a socket in a directory of its own, such as ${NOMAD_ALLOC_DIR}/tmp/mesh/web.sock, which the driver makes", d.Path, info.Mode(), stat.Gid, d.GroupName)
	}
	// In one that is filled, the group's members have what they like.
	if !d.Filled && stat.Uid != uint32(os.Geteuid()) && stat.Uid != owner.UID && !onlySockets(entries) {
		return Invalidf(d.Field, "the directory of the socket, %s, is there already, user %d has it, and there is more than sockets in it; name a socket in a directory of its own, such as ${NOMAD_ALLOC_DIR}/tmp/mesh/web.sock, which the driver makes", d.Path, stat.Uid)
	}
	return nil
}

// maxSockets is more than a proxy has in a directory.
const maxSockets = 4096

// onlySockets tells what an earlier run, as another user, may have left from what is
// somebody's own: the proxy can replace each of the former.
func onlySockets(entries []fs.DirEntry) bool {
	return len(entries) <= maxSockets && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Type() != fs.ModeSocket })
}

// give makes the directory what it is to be. The owner of a file loses the set-group-ID
// bit when it changes hands, so that the mode comes last.
func (d SocketDir) give(f *os.File, owner process.User) error {
	uid := -1
	if owner.Switch {
		uid = int(owner.UID)
	}
	if err := f.Chown(uid, int(d.Group)); err != nil {
		return fmt.Errorf("give the directory of a socket to the group %s: %w; an agent that is not root can give it only to groups of its own", d.GroupName, err)
	}
	if err := f.Chmod(d.mode()); err != nil {
		return fmt.Errorf("open the directory of a socket to the group %s: %w", d.GroupName, err)
	}
	return nil
}
