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

// readJobFile reads what a job may have read: a file in the task's own
// directories, or one that the proxy's user could read itself. (The rest of the
// allocation is no better than anywhere: an exec task's root has copies of the
// host's files in it.)
func readJobFile(task *drivers.TaskConfig, file string, user process.User) (content []byte, err error) {
	path, dir := filepath.Clean(file), task.TaskDir()
	for _, own := range []string{dir.SecretsDir, dir.LocalDir, dir.SharedAllocDir} {
		if strings.HasPrefix(path, own+"/") {
			return readSmall(sidecar.OpenBelow(own, path, os.O_RDONLY|syscall.O_NONBLOCK))
		}
	}
	err = process.AsUser(user, func() (err error) {
		content, err = readSmall(os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0))
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
		return nil, fmt.Errorf("%s is no small file (mode %s, %d bytes)", f.Name(), info.Mode(), info.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxJobFile))
}
