package hook

import (
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// exposedPath is a path of the app that the sidecar lets everybody reach.
type exposedPath struct {
	path, protocol, listener string
	number                   int    // that the app listens on
	variable                 string // of the port that Nomad gives it, in the place of the number
}

type exposedPathList []exposedPath

// follow has the paths of an app that listens on the number go to where it is now.
func (l exposedPathList) follow(number int, variable string) {
	for i := range l {
		if l[i].number == number {
			l[i].number, l[i].variable = 0, variable
		}
	}
}

// expose finds the paths that the job exposes, and those of the checks that it
// wants to be exposed.
func (s *service) expose() error {
	for _, path := range exposedPaths(s.proxy()) {
		if _, ok := s.group.ports.get(path.ListenerPort); !ok {
			return s.refuse("the exposed path %q has listener_port = %q, and the group has no port of that label; add port \"<label>\" {} to its network block, and name that", path.Path, path.ListenerPort)
		}
		s.paths = append(s.paths, exposedPath{path: path.Path, protocol: path.Protocol, listener: path.ListenerPort, number: path.LocalPathPort})
	}
	for i := range s.Checks {
		check := &s.Checks[i]
		if !check.Expose {
			continue
		}
		check.Expose = false
		if !isExposable(check) {
			check.PortLabel = "" // that of a listener which there cannot be
			continue
		}
		path := s.exposed(check)
		if path.number == 0 && s.PortLabel == "" {
			return s.refuse("the check %q is to be exposed, and the service says no port that the app listens on; give the service a port, or leave expose out", check.Name)
		}
		if !slices.Contains(s.paths, path) {
			s.paths = append(s.paths, path)
		}
	}
	return nil
}

// isExposable tells whether a sidecar can stand before the app for a check.
func isExposable(check *api.ServiceCheck) bool {
	protocol := strings.ToLower(check.Protocol)
	return slices.Contains([]string{"http", "grpc"}, strings.ToLower(check.Type)) && strings.HasPrefix(check.Path, "/") &&
		slices.Contains([]string{"", "http", "http2"}, protocol)
}

// exposed is the path by which the check reaches the app through the sidecar, on
// the check's port, or on one that is made for it.
func (s *service) exposed(check *api.ServiceCheck) exposedPath {
	if check.PortLabel == "" {
		check.PortLabel = s.group.ports.free("connect_check_" + envName(s.name))
	}
	if _, ok := s.group.ports.get(check.PortLabel); !ok {
		s.group.ports.add(api.Port{Label: check.PortLabel})
	}
	path := exposedPath{path: check.Path, protocol: check.Protocol, listener: check.PortLabel}
	if path.protocol == "" && strings.EqualFold(check.Type, "grpc") {
		path.protocol = "http2"
	}
	if number := s.appPort(); number > 0 {
		path.number = number
	} else {
		path.variable = portVariable(s.PortLabel)
	}
	return path
}

// exposedPaths looks in all places that Nomad looks in.
func exposedPaths(p *api.ConsulProxy) []*api.ConsulExposePath {
	if p == nil {
		return nil
	}
	var paths []*api.ConsulExposePath
	for _, expose := range []*api.ConsulExposeConfig{p.Expose, p.ExposeConfig} {
		if expose != nil && len(paths) == 0 {
			paths = append(append(paths, expose.Paths...), expose.Path...)
		}
	}
	return paths
}

func (l exposedPathList) config() []any {
	var out []any
	for _, path := range l {
		block := map[string]any{}
		put(block, "path", path.path)
		put(block, "protocol", path.protocol)
		put(block, "listener_port", path.listener)
		put(block, "local_path_port", path.variable)
		if path.number != 0 {
			block["local_path_port"] = path.number
		}
		out = append(out, block)
	}
	return out
}
