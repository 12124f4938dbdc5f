package driver

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	if err := hideLeftovers(task); err != nil {
		return nil, err
	}
	read := func() ([]byte, error) { return readJobFile(task, path, user) }
	if path == filepath.Join(task.TaskDir().SecretsDir, nomadBootstrap) {
		read = func() ([]byte, error) { return readNomads(task) }
	}
	content, err := read()
	var unfit *unfitFileError
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.As(err, &unfit) {
		return nil, sidecar.Invalidf("bootstrap.path", "%v", err)
	}
	return content, err
}

// readNomads reads the bootstrap that Nomad wrote, and no other in its place.
func readNomads(task *drivers.TaskConfig) ([]byte, error) {
	f, err := openSecret(task, nomadBootstrap, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("none is given, and Nomad has written no bootstrap (%w); give the file with Envoy's bootstrap, or a sidecar_service block, or put the task into a service with connect { sidecar_task { driver = \"connect\" config { bootstrap {} } } }", err)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !process.IsOurs(info) {
		return nil, errors.Join(&unfitFileError{f.Name() + " is not the file that Nomad wrote"}, f.Close())
	}
	return readSmall(f, nil)
}
