package driver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/sidecar"
)

// nomadBootstrap is where Nomad's own Connect writes the bootstrap of a proxy,
// below the task's secrets.
const nomadBootstrap = "envoy_bootstrap.json"

// nomadLeftovers are the files that Nomad leaves beside it. All of them hold the
// proxy's token, and every user of the machine may read them.
var nomadLeftovers = []string{nomadBootstrap, ".envoy_bootstrap.cmd", ".envoy_bootstrap.env"}

// setBootstrap adds what a proxy is whose bootstrap somebody else wrote.
func setBootstrap(spec *sidecar.Spec, task *drivers.TaskConfig, config TaskConfig, _ node) error {
	if config.Bootstrap == nil && config.Service != "" {
		return sidecar.Invalidf("config", "says nothing of what the task is; give it a sidecar_service block")
	}
	if config.Service != "" || config.ServicePort != "" {
		return sidecar.Invalidf("service", "goes with sidecar_service only: which service a proxy stands for is in its bootstrap")
	}
	path := orZero(config.Bootstrap).Path
	if path == "" {
		path = filepath.Join(task.TaskDir().SecretsDir, nomadBootstrap)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(task.TaskDir().Dir, path)
	}
	spec.BootstrapPath = filepath.Clean(path)
	// Which of the group's services it is, is in there.
	spec.Parent = &sidecar.Parent{IDPrefix: groupServicePrefix(task)}
	return nil
}

// addBootstrap reads the file as it is now.
func addBootstrap(spec *sidecar.Spec, task *drivers.TaskConfig) error {
	if spec.BootstrapPath == "" {
		return nil
	}
	if err := hideLeftovers(task.TaskDir().SecretsDir); err != nil {
		return fmt.Errorf("make private what Nomad wrote for the proxy: %w", err)
	}
	read := func() ([]byte, error) { return readJobFile(task, spec.BootstrapPath, spec.Run.User) }
	if spec.BootstrapPath == filepath.Join(task.TaskDir().SecretsDir, nomadBootstrap) {
		read = func() ([]byte, error) { return readNomads(task.TaskDir().SecretsDir) }
	}
	content, err := read()
	var unfit *unfitFileError
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &unfit) {
		return sidecar.Invalidf("bootstrap.path", "%v", err)
	}
	spec.Bootstrap = content
	return err
}

// readNomads reads the bootstrap that Nomad wrote, and no other in its place.
func readNomads(secrets string) ([]byte, error) {
	f, err := sidecar.OpenBelow(secrets, filepath.Join(secrets, nomadBootstrap), os.O_RDONLY|syscall.O_NONBLOCK)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("none is given, and Nomad has written no bootstrap (%w); give the file with Envoy's bootstrap, or a sidecar_service block, or put the task into a service with connect { sidecar_task { driver = \"connect\" config { bootstrap {} } } }", err)
	}
	if err != nil {
		return nil, err
	}
	if !isNomads(f) {
		return nil, errors.Join(&unfitFileError{f.Name() + " is not the file that Nomad wrote"}, f.Close())
	}
	return readSmall(f, nil)
}

// hideLeftovers takes from others the right to read the files. The directory is
// open to all, so what is no file of root's own is not touched.
func hideLeftovers(secrets string) error {
	var errs []error
	for _, name := range nomadLeftovers {
		f, err := sidecar.OpenBelow(secrets, filepath.Join(secrets, name), os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = errors.Join(hide(f), f.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func hide(f *os.File) error {
	if !isNomads(f) {
		return nil
	}
	return f.Chmod(0o600)
}

// isNomads tells a file that the agent's user has, and that has no other name, from
// what somebody else has put in its place.
func isNomads(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().IsRegular() && stat.Nlink == 1 && int(stat.Uid) == os.Geteuid()
}
