package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/nomad/plugins/drivers"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// maxJobFile is far more than any token or bootstrap has.
const maxJobFile = 4 << 20

// readJobFile reads what a job may have read: a file in the task's secrets
// directory, or one that the proxy's user could read itself. (The rest of the
// allocation is no better than anywhere: an exec task's root has copies of the
// host's files in it, and other tasks write there. But the way to it may lead
// through directories that only root may search.)
func readJobFile(task *drivers.TaskConfig, file string, user process.User) (content []byte, err error) {
	path, dir := filepath.Clean(file), task.TaskDir()
	if rel, below := strings.CutPrefix(path, dir.SecretsDir+"/"); below {
		root, err := openOwn(task, dir.SecretsDir)
		if err != nil {
			return nil, err
		}
		defer func() { _ = root.Close() }()
		return readSmall(root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0))
	}
	open := func() (*os.File, error) { return openElsewhere(path) }
	for _, own := range []string{dir.LocalDir, dir.SharedAllocDir} {
		if rel, below := strings.CutPrefix(path, own+"/"); below {
			root, err := openOwn(task, own)
			if err != nil {
				return nil, err
			}
			defer func() { _ = root.Close() }()
			open = func() (*os.File, error) { return root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0) }
		}
	}
	err = process.AsUser(user, func() (err error) {
		content, err = readSmall(open())
		return err
	})
	return content, err
}

// openOwn opens a directory of the allocation. Other tasks can put a link in its place,
// which leads nowhere out of the allocation.
func openOwn(task *drivers.TaskConfig, dir string) (*os.Root, error) {
	return sidecar.RootBelow(task.AllocDir, dir)
}

// openElsewhere opens a file with the rights of the thread's user, and nothing that those
// rights do not speak of: /proc shows the plugin its own memory and environment, and by
// the links of its descriptors the way into directories that it holds open.
func openElsewhere(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, &unfitFileError{fmt.Sprintf("%q is not an absolute path", path)}
	}
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	switch {
	case errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("open %s: this kernel cannot keep a path out of /proc (openat2, Linux 5.6); put the file into the task's secrets/", path)
	case errors.Is(err, unix.ELOOP):
		return nil, &unfitFileError{path + " leads through a link of /proc, or through too many links; name the file itself"}
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var stat unix.Statfs_t
	if err := unix.Fstatfs(fd, &stat); err != nil {
		return nil, errors.Join(&os.PathError{Op: "statfs", Path: path, Err: err}, f.Close())
	}
	if stat.Type == unix.PROC_SUPER_MAGIC {
		return nil, errors.Join(&unfitFileError{path + " is in /proc, and there the plugin would see its own"}, f.Close())
	}
	return f, nil
}

// readSmall reads a regular file and closes it. Others may have made the file:
// it could be a FIFO that nobody ever writes to, or have no end.
func readSmall(f *os.File, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxJobFile {
		return nil, &unfitFileError{fmt.Sprintf("%s is no file of at most %d MiB (mode %s, %d bytes)", f.Name(), maxJobFile>>20, info.Mode(), info.Size())}
	}
	return io.ReadAll(io.LimitReader(f, maxJobFile))
}

// unfitFileError says that a file will never do.
type unfitFileError struct{ complaint string }

func (e *unfitFileError) Error() string { return e.complaint }
