package driver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/nomad/plugins/drivers"

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
	if strings.HasPrefix(path, dir.SecretsDir+"/") {
		return readSmall(sidecar.OpenBelow(dir.SecretsDir, path, os.O_RDONLY|syscall.O_NONBLOCK))
	}
	open := func() (*os.File, error) { return os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) }
	for _, own := range []string{dir.LocalDir, dir.SharedAllocDir} {
		if rel, below := strings.CutPrefix(path, own+"/"); below {
			root, err := os.OpenRoot(own)
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
