package envoy

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
)

// Confine says how an Envoy is kept to what a proxy needs, whoever has taken it over.
type Confine string

// What an operator may want. The zero value is ConfineAuto.
const (
	ConfineAuto     Confine = "auto"     // by what the kernel has
	ConfineRequired Confine = "required" // by all of it, or not at all started
	ConfineOff      Confine = "off"
)

// Confines gives what there is to choose from.
func Confines() []string {
	return []string{string(ConfineAuto), string(ConfineRequired), string(ConfineOff)}
}

// Unmet says as a sentence what is missing of that with a kernel; empty for nothing.
func (c Confine) Unmet(kernel process.Kernel) string {
	lacks := kernel.Lacks()
	switch {
	case lacks == "" || c == ConfineOff:
		return ""
	case c == ConfineRequired:
		return fmt.Sprintf("Envoy cannot be confined as confine = \"required\" in the plugin's config wants it: %s; give the node such a kernel, or set confine = \"auto\"", lacks)
	}
	return fmt.Sprintf("Envoy is confined as far as this node can: %s; confine = \"required\" in the plugin's config keeps proxies from such nodes", lacks)
}

// judgeNode tells what a node does not confine Envoy with. The error says that the
// operator wants none without it.
func (p *program) judgeNode(confine Confine, kernel process.Kernel) error {
	unmet := confine.Unmet(kernel)
	switch {
	case unmet == "":
		return nil
	case confine == ConfineRequired:
		return errors.New(unmet)
	}
	p.Emit(unmet)
	return nil
}

// confine is the confinement of a generation, or of what is asked of its binary.
func (p *program) confine(s Settings, files namedFiles) *process.Confinement {
	if s.Confine == ConfineOff {
		return nil
	}
	files = files.with(argFiles(s.Args)).from(p.Run.Dir)
	return &process.Confinement{
		Read:     existing(files.read),
		Write:    append(existing(files.write), p.Run.Dir, p.Run.Stdout, p.Run.Stderr, sharedMemoryDir),
		Required: s.Confine == ConfineRequired,
	}
}

// existing are the paths to grant for files: each itself, with its directory and the one
// that it links to, since files are replaced by others of the same name. Where there is
// no such directory yet, it is the one above. A directory stands for all below it. What
// a process has open already, as /dev/stdout, is another file for Envoy than for us.
func existing(files []string) []string {
	var paths []string
	for _, file := range files {
		if !filepath.IsAbs(file) {
			continue // it is nowhere
		}
		end, isDir, err := process.FollowLinks(file)
		switch {
		case errors.Is(err, unix.ELOOP), end == "/":
		case isDir:
			paths = append(paths, file)
		case err == nil:
			paths = append(paths, file, directory(file), directory(end))
		default:
			paths = append(paths, file, directory(file))
		}
	}
	paths = slices.DeleteFunc(paths, func(path string) bool { return path == "" })
	slices.Sort(paths)
	return slices.Compact(paths)
}

// directory is the nearest one above a file; empty for those that are of everybody.
func directory(file string) string {
	dir := filepath.Dir(filepath.Clean(file))
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	if dir == "/" || dir == "/dev" || dir == "/proc" || strings.HasPrefix(dir, "/proc/") {
		return ""
	}
	return dir
}

// argFiles are those that a user's arguments may name: `--log-path /var/log/envoy.log`.
func argFiles(args []string) (files namedFiles) {
	for _, arg := range args {
		if _, value, ok := strings.Cut(arg, "="); ok {
			arg = value
		}
		if filepath.IsAbs(arg) {
			files.write = append(files.write, arg)
		}
	}
	return files
}

// entryFiles are those that Envoy hears of from its management server: what the
// registration and the config entries name.
func entryFiles(in bootstrap.Inputs) (files namedFiles) {
	if in.AccessLogs != nil {
		files.write = append(files.write, in.AccessLogs.Path)
	}
	proxy := in.Proxy.Proxy
	if proxy == nil {
		return files
	}
	files = files.with(filesIn(proxy.Config))
	for _, extension := range proxy.EnvoyExtensions {
		files = files.with(filesIn(extension.Arguments))
	}
	for _, upstream := range proxy.Upstreams {
		files.write = append(files.write, upstream.LocalBindSocketPath)
		files = files.with(filesIn(upstream.Config))
	}
	return files
}
