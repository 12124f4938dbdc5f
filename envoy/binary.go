package envoy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"nomad-driver-connect/process"
)

// probeTimeout is ample for a program that prints a line.
const probeTimeout = 10 * time.Second

var versionLine = regexp.MustCompile(`version: [0-9a-f]+/(\d+\.\d+\.\d+)[^/]*/`)

// Binary is a file that is, or should be, an Envoy.
type Binary struct {
	Path string       // absolute
	User process.User // who runs it
}

// Version asks a binary for its version ("1.36.4"), as the user who will run it.
// The error is a sentence that says what is wrong with the file; it is an
// *UnfitBinaryError unless trying again may help.
func (b Binary) Version(ctx context.Context) (string, error) {
	path := b.Path
	if info, err := os.Stat(path); err != nil {
		return "", unfit("%s: %w; install Envoy, or say where it is with envoy { path = … }", path, errors.Unwrap(err))
	} else if info.IsDir() || info.Mode()&0o111 == 0 {
		return "", unfit("%s is not an executable file (mode %s)", path, info.Mode())
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out, err := b.run(b.command(ctx, "--version"))
	if match := versionLine.FindSubmatch(out); match != nil {
		return string(match[1]), nil
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("run %s --version: it does not end: %w", path, ctx.Err())
	}
	if err != nil && len(out) == 0 {
		err = fmt.Errorf("run %s --version: %w", path, err)
		if isUnfit(err) {
			err = &UnfitBinaryError{err}
		}
		return "", err
	}
	return "", unfit("%s is not an Envoy: `--version` prints %q", path, firstLine(out))
}

// UnfitBinaryError says that a file is missing, cannot be executed, or is no
// Envoy.
type UnfitBinaryError struct{ error }

func (e *UnfitBinaryError) Unwrap() error { return e.error }

// isUnfit tells what lies in the file from trouble of the moment, as when the
// file is being replaced or the machine is out of processes.
func isUnfit(err error) bool {
	var exit *exec.ExitError
	return errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOEXEC) ||
		(errors.As(err, &exit) && exit.Exited())
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
func (b Binary) Validate(ctx context.Context, dir string, env []string, config *os.File) (err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if _, err := config.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	cmd := b.command(ctx, validateArgs()...)
	cmd.ExtraFiles = []*os.File{config} // BootstrapFD
	cmd.Env = env
	// The user may have no way to the directory by its path.
	cmd.Dir = fmt.Sprintf("/proc/self/fd/%d", d.Fd())
	out, err := b.run(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() && ctx.Err() == nil {
		return &RefusedError{Complaint: truncate(wholeBootstrap.ReplaceAllString(lastLine(out), ""))}
	}
	if err != nil {
		return fmt.Errorf("let Envoy validate the bootstrap: %w", err)
	}
	return nil
}

// wholeBootstrap is what Envoy adds to some of its complaints: all of it, the
// token included.
var wholeBootstrap = regexp.MustCompile(`: \{".*$`)

// command is an Envoy that does one thing and ends.
func (b Binary) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.Path, args...)
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if b.User.Switch {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: b.User.UID, Gid: b.User.GID}
	}
	return cmd
}

// run runs it to its end and gives what it printed.
func (b Binary) run(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = process.Hint(err, b.User)
	}
	return out.Bytes(), err
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
