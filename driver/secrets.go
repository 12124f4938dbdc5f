package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// nomadLeftovers are the files that Nomad leaves beside a proxy's bootstrap. All of them
// hold the proxy's token, and every user of the machine may read them.
var nomadLeftovers = []string{nomadBootstrap, ".envoy_bootstrap.cmd", ".envoy_bootstrap.env"}

// maxSecrets is far more than the files that Nomad writes for a task.
const maxSecrets = 1024

// isLeftover tells those files, and the JWTs of the task's identities: with one of them
// anybody logs in as the service.
func isLeftover(name string) bool {
	isJWT := strings.HasPrefix(name, "nomad_") && strings.HasSuffix(name, ".jwt")
	return isJWT || slices.Contains(nomadLeftovers, name)
}

// openSecret opens what lies in the task's secrets. The way there is open to all tasks of
// the allocation, so that no link on it may lead out of the allocation.
func openSecret(task *drivers.TaskConfig, name string, flag int) (*os.File, error) {
	return sidecar.OpenBelow(task.AllocDir, filepath.Join(task.TaskDir().SecretsDir, name), flag|syscall.O_NONBLOCK)
}

// hideLeftovers takes from others the right to read the files. Nomad writes a JWT anew
// all the time, and keeps the mode of one that is there. The directory is open to all, so
// what is no file of root's own is not touched.
func hideLeftovers(task *drivers.TaskConfig) error {
	names, err := listSecrets(task)
	errs := []error{err}
	for _, name := range names {
		if isLeftover(name) {
			errs = append(errs, hideSecret(task, name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make private what Nomad wrote for the proxy: %w", err)
	}
	return nil
}

// listSecrets names what lies there; nothing where Nomad has made no directory.
func listSecrets(task *drivers.TaskConfig) ([]string, error) {
	d, err := openSecret(task, ".", os.O_RDONLY|syscall.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(maxSecrets)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

func hideSecret(task *drivers.TaskConfig, name string) error {
	f, err := openSecret(task, name, os.O_RDONLY|syscall.O_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(hide(f), f.Close())
}

func hide(f *os.File) error {
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 == 0 || !process.IsOurs(info) {
		return err
	}
	return f.Chmod(0o600)
}
