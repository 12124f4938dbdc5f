package sidecar

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"syscall"
	"time"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
)

// generation is one Envoy process of a sidecar: the first, or one that took
// the sockets over from another by a hot restart. Its epoch is its number, as
// Envoy counts them.
type generation struct {
	epoch   int
	proc    *process.Process
	started time.Time
	version string // of Envoy
}

// generations are those of a sidecar that run. The value is replaced as a
// whole, so that whoever asks sees one state of affairs.
type generations struct {
	current generation
	leaving []generation // those that were succeeded, the oldest first
}

func (g generations) all() []generation { return append(slices.Clone(g.leaving), g.current) }

// findGenerations finds the Envoys that run in a run directory, the oldest
// first, whoever started them: only Envoy's user and root may enter it.
func findGenerations(run Run) ([]generation, error) {
	ids, err := process.WorkingIn(run.Dir, run.User)
	if err != nil {
		return nil, err
	}
	var found []generation
	for _, id := range ids {
		args, _ := process.Args(id) // none of one that is gone
		epoch, ok := envoy.EpochOf(args)
		if !ok || !process.LeadsSession(id) {
			continue // somebody's shell, or what an Envoy has started
		}
		proc, err := process.Attach(id)
		if err != nil {
			return nil, err
		}
		if proc != nil { // else it is gone meanwhile
			found = append(found, generation{epoch: epoch, proc: proc, started: time.Now()})
		}
	}
	slices.SortFunc(found, func(a, b generation) int { return cmp.Compare(a.epoch, b.epoch) })
	return found, nil
}

// endTimeout is far longer than a process that was killed takes to be gone.
const endTimeout = 5 * time.Second

// end kills what is left of a generation.
func (g generation) end() error {
	if err := g.proc.KillGroup(); err != nil {
		return err
	}
	late := time.NewTimer(endTimeout)
	defer late.Stop()
	select {
	case <-g.proc.Done():
		return nil
	case <-late.C:
		return fmt.Errorf("Envoy (pid %d) is not gone %s after it was killed", g.proc.ID.PID, endTimeout)
	}
}

// outdated says why the generation should be succeeded: its bootstrap is not
// what would be rendered now, or its binary is not the one at the path. Both
// are asked of the process itself, so nothing has to be remembered.
func (g generation) outdated(content []byte, path string) (why string, err error) {
	running, err := g.bootstrap()
	if err != nil {
		return "", err
	}
	if same, err := sameJSON(running, content); err != nil {
		return "", err
	} else if !same {
		return "its bootstrap has changed", nil
	}
	if replaced, err := g.binaryReplaced(path); err != nil {
		return "", err
	} else if replaced {
		return "the binary " + path + " has changed", nil
	}
	return "", nil
}

// maxBootstrap is far more than any bootstrap has.
const maxBootstrap = 16 << 20

// bootstrap is what the generation was started with. Envoy could have put
// something else in its place: a FIFO that nobody writes to, or a file without end.
func (g generation) bootstrap() (content []byte, err error) {
	f, err := os.OpenFile(g.procPath("fd/"+strconv.Itoa(envoy.BootstrapFD)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		defer func() { err = errors.Join(err, f.Close()) }()
		var info os.FileInfo
		if info, err = f.Stat(); err == nil && !isBootstrap(info) {
			err = fmt.Errorf("it is no such file any more (mode %s, %d bytes)", info.Mode(), info.Size())
		}
	}
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(f, maxBootstrap))
	}
	if err != nil {
		return nil, fmt.Errorf("read the bootstrap that Envoy runs with: %w", err)
	}
	return content, nil
}

// isBootstrap knows a file that lies nowhere, as secretFile makes it: nothing
// else is read on the word of Envoy.
func isBootstrap(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0 && info.Mode().IsRegular() && info.Size() <= maxBootstrap
}

// binaryReplaced does not know of a script that starts Envoy.
func (g generation) binaryReplaced(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x7fELF" {
		return false, nil
	}
	now, err := f.Stat()
	if err != nil {
		return false, err
	}
	runs, err := os.Stat(g.procPath("exe"))
	return err == nil && !os.SameFile(runs, now), err
}

func (g generation) procPath(name string) string {
	return fmt.Sprintf("/proc/%d/%s", g.proc.ID.PID, name)
}

// sameJSON compares what two documents say, not how.
func sameJSON(a, b []byte) (bool, error) {
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		return false, fmt.Errorf("compare bootstraps: %w", err)
	}
	return reflect.DeepEqual(x, y), nil
}
