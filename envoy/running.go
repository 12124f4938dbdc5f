package envoy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"nomad-driver-connect/process"
)

// The kernel knows what an Envoy runs with: nothing is kept here that could be wrong
// after a restart of the plugin.

// maxBootstrap is far more than any bootstrap has.
const maxBootstrap = 16 << 20

// runningBootstrap is what an Envoy was started with. It could have put something
// else in its place: a FIFO that nobody writes to, or a file without end.
func runningBootstrap(id process.Identity) (content []byte, err error) {
	f, err := os.OpenFile(id.Path("fd/"+strconv.Itoa(BootstrapFD)), os.O_RDONLY|syscall.O_NONBLOCK, 0)
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
func binaryReplaced(id process.Identity, path string) (bool, error) {
	f, err := process.OpenRegular(path)
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
	runs, err := os.Stat(id.Path("exe"))
	return err == nil && !os.SameFile(runs, now), err
}
