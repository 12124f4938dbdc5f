package envoy

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// adminSocket is the name of the admin API's socket in the run directory.
const adminSocket = "admin.sock"

// Settings say which Envoy runs, and how. They are a value, and lie in the task's
// handle.
type Settings struct {
	Path        string   // absolute path of the binary
	Version     string   // empty when it is not known yet
	Named       bool     // the job named it, and is wrong when it is no Envoy
	Args        []string // appended to the driver's own
	Concurrency int      // worker threads, at least 1
	Confine     Confine  // how it is kept to what a proxy needs
	LogLevel    string   // trace, debug, info, warning, error, critical, off

	// DrainTimeout is how long a generation takes to leave after a hot restart, in
	// whole seconds.
	DrainTimeout time.Duration
}

// World is what an Envoy has of the program that it lives in.
type World struct {
	Run  sidecar.Run
	Emit sidecar.Emit

	// Settings are those that the next generation is started with.
	Settings func() (Settings, error)

	// Log gives the end of what the generations have written to their log; nil when
	// there is none.
	Log func() []byte

	// LogAt is the command that shows all of it; nil when there is none.
	LogAt func() string

	// Recalled is told the token in the bootstrap of an Envoy that was found again:
	// it may be found nowhere else.
	Recalled func(token string)
}

// program is what Envoys have in common, wherever their bootstrap comes from.
type program struct {
	World
	base    uint32 // the base ID
	version string // of the binary at the start, where the node does not know it
	control *Control
}

func newProgram(w World) program {
	p := program{World: w, control: newControl(api{
		Admin: NewAdmin(bootstrap.AdminAddress{Network: "unix", Address: adminSocket}, w.Run),
		needs: Needs{Stream: true, Clusters: true, Listeners: true},
	})}
	if w.Log != nil {
		p.control.log = w.Log
	}
	if w.LogAt != nil {
		p.control.logAt = w.LogAt
	}
	return p
}

// Name implements sidecar.Program.
func (*program) Name() string { return "Envoy" }

// Control implements sidecar.Program.
func (p *program) Control() sidecar.Control { return p.control }

// Epoch implements sidecar.Program.
func (*program) Epoch(args []string) (int, bool) { return EpochOf(args) }

// Preflight implements sidecar.Program.
func (p *program) Preflight(ctx context.Context) error {
	settings, err := p.Settings()
	if err != nil {
		return err
	}
	if err := p.judgeNode(settings.Confine, process.Confines()); err != nil || settings.Version != "" {
		return err
	}
	p.version, err = p.binary(settings).Version(ctx)
	var unfit *UnfitBinaryError
	if settings.Named && errors.As(err, &unfit) {
		return sidecar.Invalidf("envoy.path", "%v", err)
	}
	return err
}

// Prepare implements sidecar.Program.
func (p *program) Prepare(context.Context) (err error) {
	p.base, err = ClaimSharedMemory(p.Run)
	return err
}

// Remove implements sidecar.Program.
func (p *program) Remove() error { return RemoveSharedMemory(p.Run.Dir, p.Run.User) }

// StandIn implements sidecar.Program.
func (p *program) StandIn(ctx context.Context, epoch int, kept []process.Listener) error {
	return StandIn(ctx, p.Run, p.base, epoch, kept)
}

// recover learns what follows from the run directory, and gives the bootstrap that
// a generation was started with.
func (p *program) recover(running *process.Process) ([]byte, error) {
	p.base = p.runningBase(running)
	content, err := runningBootstrap(running.ID)
	if err == nil {
		p.Recalled(bootstrap.Token(content))
	}
	return content, err
}

// runningBase is the base ID that an Envoy was started with. The link says it where no
// process does any more, and Envoy's user may have led it elsewhere meanwhile.
func (p *program) runningBase(running *process.Process) uint32 {
	args, _ := process.Args(running.ID.PID) // none of one that is gone
	if base, ok := baseIDIn(args); ok {
		return base
	}
	return baseIDOf(p.Run.Dir)
}

func (p *program) binary(s Settings) Binary {
	return Binary{Path: s.Path, User: p.Run.User, Cgroup: p.Run.Cgroup, Network: p.Run.Network, Confinement: p.confineBinary(s)}
}

// start is what a generation begins with besides its settings.
type start struct {
	content   []byte // the bootstrap
	listeners []sidecar.StaticListener
	files     namedFiles                 // that it needs beside those that are named there
	more      func() ([]*os.File, error) // what it finds open besides; nil for nothing
}

// launch is that of a generation.
func (p *program) launch(s Settings, with start, epoch int) (*sidecar.Launch, error) {
	confinement, err := p.confine(s, bootstrapFiles(with.content).with(with.files))
	if err != nil {
		return nil, err
	}
	l := &sidecar.Launch{
		Path:    s.Path,
		Version: s.Version,
		Config:  with.content,

		Listeners: with.listeners,

		Confinement: confinement,
		Args: Options{
			BaseID:       p.base,
			Epoch:        epoch,
			LogLevel:     s.LogLevel,
			Concurrency:  s.Concurrency,
			DrainTimeout: s.DrainTimeout,
			Extra:        s.Args,
		}.Args(),
	}
	if epoch == 0 {
		l.Version = cmp.Or(s.Version, p.version)
	}
	l.Check = func(ctx context.Context) error { return p.check(ctx, s, l) }
	l.Open = func() ([]*os.File, error) { return p.open(with, epoch) }
	return l, nil
}

// open opens what a generation finds open, once it may be started.
func (p *program) open(with start, epoch int) ([]*os.File, error) {
	if epoch > 0 {
		p.control.api.Load().Forget() // who answers next is another
		if err := errors.Join(p.makeRoom(), awaitParent(p.Run, p.base, epoch-1)); err != nil {
			return nil, err
		}
	}
	file, err := secretFile("bootstrap.json", with.content, p.Run.User)
	if err != nil || with.more == nil {
		return []*os.File{file}, err
	}
	others, err := with.more()
	return append([]*os.File{file}, others...), err
}

// check lets Envoy validate the bootstrap where and as it will run.
func (p *program) check(ctx context.Context, s Settings, l *sidecar.Launch) (err error) {
	if l.Version == "" {
		if l.Version, err = p.binary(s).Version(ctx); err != nil {
			return err
		}
	}
	file, err := secretFile("bootstrap.json", l.Config, p.Run.User)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	binary := p.binary(s)
	binary.Confinement = l.Confinement
	return binary.Validate(ctx, p.Run, p.Run.Env, file)
}

// makeRoom takes back the word of a generation that died while it initialized: no
// other is initializing when one is about to be started. Where this Envoy lays its
// memory out in another way, one that died leaves no room, and the next says so.
func (p *program) makeRoom() error {
	err := sharedMemoryOf(p.base).ClearInitializing(p.Run.User)
	if errors.Is(err, ErrUnknownLayout) {
		return nil
	}
	return err
}

// LastWords implements sidecar.Program.
func (p *program) LastWords() string {
	return lastComplaint(p.control.log(), time.Now().Add(-maxLastWordsAge))
}

// maxLastWordsAge bounds how old a complaint may be: an earlier one is none of an Envoy
// that has ended now.
const maxLastWordsAge = time.Minute
