package driver

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/envoy"
	"nomad-driver-connect/mesh"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// nomadBootstrap is where Nomad's own Connect writes the bootstrap of a proxy,
// below the task's secrets.
const nomadBootstrap = "envoy_bootstrap.json"

// nomadLeftovers are the files that Nomad leaves beside it. All of them hold the
// proxy's token, and every user of the machine may read them.
var nomadLeftovers = []string{nomadBootstrap, ".envoy_bootstrap.cmd", ".envoy_bootstrap.env"}

// addMember reads from the bootstrap that somebody else wrote who has the proxy in the
// mesh: Nomad, when the node's ID is one of Nomad's, else nobody. Nomad's token is
// in there, too.
func addMember(spec *proxySpec, task *drivers.TaskConfig) error {
	if spec.External == "" {
		return nil
	}
	content, err := readExternal(spec.External, task, spec.Life.Run.User)
	if err != nil {
		return err
	}
	external, err := envoy.ReadExternal(spec.External, content)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(external.NodeID, groupServicePrefix(task)) {
		return nil
	}
	spec.Consul.Token = cmp.Or(spec.Consul.Token, bootstrap.Token(external.Content))
	spec.Nomads = &mesh.NomadsRegistration{
		ID:      external.NodeID,
		Source:  spec.External,
		OwnUser: dynamicUser.MatchString(spec.Life.Run.User.Name),
	}
	return nil
}

// readExternal reads the file as it is now.
func readExternal(path string, task *drivers.TaskConfig, user process.User) ([]byte, error) {
	secrets := task.TaskDir().SecretsDir
	if err := hideLeftovers(secrets); err != nil {
		return nil, fmt.Errorf("make private what Nomad wrote for the proxy: %w", err)
	}
	read := func() ([]byte, error) { return readJobFile(task, path, user) }
	if path == filepath.Join(secrets, nomadBootstrap) {
		read = func() ([]byte, error) { return readNomads(secrets) }
	}
	content, err := read()
	var unfit *unfitFileError
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &unfit) {
		return nil, sidecar.Invalidf("bootstrap.path", "%v", err)
	}
	return content, err
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
