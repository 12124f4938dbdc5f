package envoy

import (
	"fmt"
	"path/filepath"
	"strings"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
)

// Confine says how an Envoy is kept to what a proxy needs, whoever has taken it over.
type Confine string

// The values that an operator may set. The zero value is ConfineAuto.
const (
	ConfineAuto     Confine = "auto"     // by what the kernel has
	ConfineRequired Confine = "required" // by all of it, or not at all started
	ConfineOff      Confine = "off"
)

// Confines gives what there is to choose from.
func Confines() []string {
	return []string{string(ConfineAuto), string(ConfineRequired), string(ConfineOff)}
}

// Judge says as a sentence what is missing of that with a kernel; empty for nothing. The
// error says that the operator wants no Envoy without it.
func (c Confine) Judge(kernel process.Kernel) (remark string, err error) {
	lacks := kernel.Lacks()
	switch {
	case lacks == "" || c == ConfineOff:
		return "", nil
	case c == ConfineRequired:
		return "", fmt.Errorf("Envoy cannot be confined as confine = \"required\" in the plugin's config wants it: %s; give the node such a kernel, or set confine = \"auto\"", lacks)
	}
	return fmt.Sprintf("Envoy is confined as far as this node can: %s; confine = \"required\" in the plugin's config keeps proxies from such nodes", lacks), nil
}

// judgeNode tells what a node does not confine Envoy with. The error says that the
// operator wants none without it.
func (p *program) judgeNode(confine Confine, kernel process.Kernel) error {
	remark, err := confine.Judge(kernel)
	if remark != "" {
		p.Emit(remark)
	}
	return err
}

// confine is the confinement of a generation.
func (p *program) confine(s Settings, files namedFiles) (*process.Confinement, error) {
	c := p.confineBinary(s)
	if c == nil {
		return nil, nil
	}
	found, err := find(files.with(argFiles(s.Args)).from(p.Run.Dir), p.Run)
	if err != nil {
		return nil, fmt.Errorf("find the files that Envoy's configuration names, to confine it to them: %w", err)
	}
	c.Read, c.Write = found.read, append(found.write, c.Write...)
	return c, nil
}

// confineBinary is the confinement of what is asked of the binary, and of no generation.
func (p *program) confineBinary(s Settings) *process.Confinement {
	if s.Confine == ConfineOff {
		return nil
	}
	return &process.Confinement{
		Write:    []string{p.Run.Dir, p.Run.Stdout, p.Run.Stderr, sharedMemoryDir},
		Required: s.Confine == ConfineRequired,
	}
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
