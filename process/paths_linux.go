package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openPath takes hold of what is at a path, and opens nothing: a FIFO is not waited for,
// and nothing is done to a device. It goes through no link of /proc to what a process has
// open: /dev/stdout is another file for each.
func openPath(path string) (int, error) {
	return unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS})
}

// FollowLinks tells where the links of a path end, and whether a directory is there.
func FollowLinks(path string) (end string, isDir bool, err error) {
	fd, err := openPath(path)
	if err != nil {
		return "", false, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return "", false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	end, err = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	return end, stat.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// OpenRegular opens a file for reading, and nothing else: somebody may have put a FIFO at
// a path, which never opens, or a device, to which opening it does something.
func OpenRegular(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	at := os.NewFile(uintptr(fd), path)
	defer func() { _ = at.Close() }()
	info, err := at.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file (mode %s)", path, info.Mode())
	}
	if err != nil {
		return nil, err
	}
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
}
