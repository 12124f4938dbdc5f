package hook

import (
	"cmp"
	"maps"
	"net"
	"strconv"

	"github.com/hashicorp/nomad/api"
)

// tellApps gives every task but the sidecar itself the variables by which Nomad's
// own Connect says where an upstream is. What a task sets itself stays.
func (g *group) tellApps() {
	for _, t := range g.Tasks {
		env := g.upstreamEnv(t)
		for name := range t.Env {
			delete(env, name)
		}
		if len(env) == 0 {
			continue
		}
		if t.Env == nil {
			t.Env = map[string]string{}
		}
		resolve(t.Env, env)
		maps.Copy(t.Env, env)
	}
}

// resolve puts the variables into those of the task that speak of them. Nomad
// resolves the variables of a task in any order: one may not see the other.
func resolve(vars, known map[string]string) {
	for name, value := range vars {
		vars[name] = variable.ReplaceAllStringFunc(value, func(reference string) string {
			return cmp.Or(known[reference[2:len(reference)-1]], reference)
		})
	}
}

func (g *group) upstreamEnv(t *api.Task) map[string]string {
	env := map[string]string{}
	for _, b := range g.bindings {
		if b.service.task == t || b.socket != "" {
			continue
		}
		port := strconv.Itoa(b.number)
		if b.number == 0 {
			port = "${NOMAD_PORT_" + b.label + "}"
		}
		for _, name := range []string{b.destination, envName(b.destination)} {
			env["NOMAD_UPSTREAM_ADDR_"+name] = net.JoinHostPort(b.address, port)
			env["NOMAD_UPSTREAM_IP_"+name] = b.address
			env["NOMAD_UPSTREAM_PORT_"+name] = port
		}
	}
	return env
}
