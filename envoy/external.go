package envoy

import (
	"context"
	"fmt"
	"os"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// allocDirFD is the descriptor on which an Envoy finds the directory that the
// tasks of the allocation share: the bootstrap that Nomad writes names a socket
// below "alloc", which is right in the directory of a task only.
const allocDirFD = BootstrapFD + 1

// allocLink is the name of that directory in the run directory.
const allocLink = "alloc"

// External is an Envoy whose bootstrap somebody else wrote.
type External struct {
	program
	file File
}

// File is where that bootstrap is.
type File struct {
	Path     string // for sentences
	AllocDir string // that of the tasks of the allocation

	// LocalDir and SecretsDir are the task's own. A job has files there that nothing
	// names which is known before Envoy asks its management server.
	LocalDir, SecretsDir string

	// Read reads it as it is now. An *sidecar.InvalidError is the user's mistake.
	Read func() ([]byte, error)
}

// dirs are the directories that such an Envoy has, as far as its user may.
func (f File) dirs() namedFiles {
	return namedFiles{read: []string{f.SecretsDir}, write: []string{f.AllocDir, f.LocalDir}}
}

// NewExternal makes the program.
func NewExternal(w World, file File) *External {
	return &External{program: newProgram(w), file: file}
}

// ReadExternal reads what such a bootstrap says. The error is the user's mistake.
func ReadExternal(path string, content []byte) (bootstrap.External, error) {
	external, err := bootstrap.ParseExternal(content, adminSocket)
	if err != nil {
		return external, sidecar.Invalidf("bootstrap.path", "%s is no bootstrap: %v", path, err)
	}
	return external, nil
}

// Prepare implements sidecar.Program: the allocation's directory appears in the run
// directory.
func (e *External) Prepare(ctx context.Context) error {
	if err := e.Run.Link(FDPath(allocDirFD), allocLink); err != nil {
		return err
	}
	return e.program.Prepare(ctx)
}

// Recover implements sidecar.Program.
func (e *External) Recover(running *process.Process) {
	content, err := e.recover(running)
	var external bootstrap.External
	if err == nil {
		external, err = ReadExternal(e.file.Path, content)
	}
	if err != nil {
		e.Emit("Found Envoy again, but not what it was started with: " + err.Error())
		return
	}
	e.take(external)
}

// take remembers how to ask Envoy, and what it is to hear.
func (e *External) take(x bootstrap.External) {
	e.control.api.Store(&api{
		Admin: NewAdmin(x.Admin, e.Run),
		needs: Needs{Stream: x.Stream, Clusters: x.Clusters, Listeners: x.Listeners},
		where: "the management server that its bootstrap names",
	})
}

// instead says where the admin API is when it is not where the bootstrap has it.
func instead(x bootstrap.External) string {
	if x.Socket == "" {
		return ""
	}
	return fmt.Sprintf("; its admin API is at %s in the proxy's own directory, and not at the socket %s", adminSocket, x.Socket)
}

// Next implements sidecar.Program. The admin API must stay where it is: a hot
// restart is followed there.
func (e *External) Next(_ context.Context, _ sidecar.Place, epoch int) (*sidecar.Launch, error) {
	settings, err := e.Settings()
	if err != nil {
		return nil, err
	}
	content, err := e.file.Read()
	if err != nil {
		return nil, err
	}
	external, err := ReadExternal(e.file.Path, content)
	if err != nil {
		return nil, err
	}
	if epoch == 0 {
		e.take(external)
		e.Emit("Read the bootstrap " + e.file.Path + instead(external))
	} else if at := e.control.api.Load().Address(); external.Admin != at {
		return nil, fmt.Errorf("its admin API is to move from %s to %s; restart the task for that", at.Address, external.Admin.Address)
	}
	return e.launch(settings, start{
		content:   external.Content,
		listeners: e.listeners(external.Content),
		files:     e.file.dirs(),
		more: func() ([]*os.File, error) {
			dir, err := os.Open(e.file.AllocDir)
			return []*os.File{dir}, err
		},
	}, epoch)
}

// The programs.
var (
	_ sidecar.Program = (*Rendered)(nil)
	_ sidecar.Program = (*External)(nil)
)
