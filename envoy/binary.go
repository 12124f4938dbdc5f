package envoy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// What is ample for a program that prints a line, or complains of a bootstrap, all of
// which it may print.
const (
	probeTimeout = 10 * time.Second
	probeOutput  = 64 << 10
)

var versionLine = regexp.MustCompile(`version: [0-9a-f]+/(\d+\.\d+\.\d+)[^/]*/`)

// Binary is a file that is, or should be, an Envoy.
type Binary struct {
	Path string       // absolute
	User process.User // who runs it

	// Cgroup and Network are those of the task that it runs for, if any.
	Cgroup  process.Cgroup
	Network process.Network

	Confinement *process.Confinement // nil for none
}

// Version asks a binary for its version ("1.36.4"), as the user who will run it.
// The error is a sentence that says what is wrong with the file; it is an
// *UnfitBinaryError unless trying again may help.
func (b Binary) Version(ctx context.Context) (string, error) {
	path := b.Path
	if info, err := os.Stat(path); err != nil {
		return "", unfit("%s: %w; install Envoy, or say where it is with envoy { path = … }", path, errors.Unwrap(err))
	} else if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", unfit("%s is not an executable file (mode %s)", path, info.Mode())
	}
	root, err := os.Open("/")
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	result, err := b.run(ctx, process.Launch{Args: []string{"--version"}, Dir: root})
	out := slices.Concat(result.Stdout, result.Stderr)
	if match := versionLine.FindSubmatch(out); match != nil {
		return string(match[1]), nil
	}
	if err != nil {
		if err = fmt.Errorf("ask %s for its --version: %w", path, err); isUnfit(err) {
			err = &UnfitBinaryError{err}
		}
		return "", err
	}
	if len(out) > 0 {
		return "", unfit("%s is not an Envoy: `--version` prints %q", path, firstLine(out))
	}
	err = fmt.Errorf("%s is not an Envoy: `--version` prints nothing, and it %s", path, result.Exit)
	if result.Exit.Signal == 0 {
		err = &UnfitBinaryError{err}
	}
	return "", err
}

// UnfitBinaryError says that a file is missing, cannot be executed, or is no
// Envoy.
type UnfitBinaryError struct{ error }

func (e *UnfitBinaryError) Unwrap() error { return e.error }

// isUnfit tells what lies in the file from trouble of the moment, as when the
// file is being replaced or the machine is out of processes.
func isUnfit(err error) bool {
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOEXEC)
}

func unfit(format string, args ...any) error {
	return &UnfitBinaryError{fmt.Errorf(format, args...)}
}

// RefusedError is Envoy's complaint about a bootstrap.
type RefusedError struct{ Complaint string }

func (e *RefusedError) Error() string { return "it refuses the bootstrap: " + e.Complaint }

// Validate runs `envoy --mode validate` on a bootstrap where and as Envoy will run:
// in its working directory, with its environment ("NAME=value"). The bootstrap is
// read from the file's beginning. The error is a *RefusedError when Envoy says so
// itself.
func (b Binary) Validate(ctx context.Context, where sidecar.Run, env []string, config *os.File) (err error) {
	if _, err := config.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d, err := where.OpenDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	result, err := b.run(ctx, process.Launch{
		Args:  validateArgs(),
		Env:   env,
		Dir:   d,
		Files: []*os.File{nil, nil, nil, config}, // BootstrapFD
	})
	switch exit := result.Exit; {
	case err != nil:
		return fmt.Errorf("let Envoy validate the bootstrap: %w", err)
	case exit.Signal != 0:
		return fmt.Errorf("let Envoy validate the bootstrap: it %s", exit)
	case exit.Code != 0:
		complaint := lastLine(slices.Concat(result.Stdout, result.Stderr))
		return &RefusedError{Complaint: truncate(wholeBootstrap.ReplaceAllString(complaint, ""))}
	}
	return nil
}

// wholeBootstrap is what Envoy adds to some of its complaints: all of it, the
// token included.
var wholeBootstrap = regexp.MustCompile(`: \{".*$`)

// run lets the binary do one thing, and end.
func (b Binary) run(ctx context.Context, l process.Launch) (process.Result, error) {
	l.Path, l.User, l.Cgroup, l.Network, l.Confinement = b.Path, b.User, b.Cgroup, b.Network, b.Confinement
	return process.Run(ctx, l, process.Limit{Time: probeTimeout, Output: probeOutput})
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return truncate(line)
}

func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func truncate(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
