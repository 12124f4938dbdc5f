package driver

import (
	"fmt"
	"slices"
	"strings"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// AllowConfig is what an operator leaves to the authors of jobs. Without it a job has the
// operator's Envoy with the driver's arguments, as a user that Nomad makes up for the
// task.
type AllowConfig struct {
	EnvoyPath     bool     `codec:"envoy_path"`     // envoy.path
	EnvoyArgs     []string `codec:"envoy_args"`     // flags of envoy.args; "*" is any
	Users         []string `codec:"users"`          // names or numbers, for user and envoy.user
	BootstrapPath *bool    `codec:"bootstrap_path"` // bootstrap.path; open when it is not said
	ConsulAddress bool     `codec:"consul_address"` // consul.address and consul.grpc_address

	// The numbers of the users that Nomad makes up, as in users {} of the client's config.
	DynamicUserMin int `codec:"dynamic_user_min"`
	DynamicUserMax int `codec:"dynamic_user_max"`
}

// allow judges what a job says. The errors are final, and name the operator's key.
type allow struct {
	envoyPath, bootstrapPath, consulAddress bool

	flags   []string // of Envoy; anyFlag is any
	users   []process.User
	dynamic userRange
}

// anyFlag stands for all of Envoy's flags.
const anyFlag = "*"

// newAllow reads what the operator says; nil is nothing. The error is the operator's
// mistake.
func newAllow(c *AllowConfig, accounts accounts) (allow, error) {
	said := orZero(c)
	a := allow{
		envoyPath:     said.EnvoyPath,
		bootstrapPath: said.BootstrapPath == nil || *said.BootstrapPath,
		consulAddress: said.ConsulAddress,
		flags:         said.EnvoyArgs,
	}
	for _, flag := range a.flags {
		if err := checkFlag(flag); err != nil {
			return a, err
		}
	}
	var err error
	if a.dynamic, err = newUserRange(said.DynamicUserMin, said.DynamicUserMax); err != nil {
		return a, err
	}
	for _, name := range said.Users {
		u, err := a.listed(name, accounts)
		if err != nil {
			return a, err
		}
		a.users = append(a.users, u)
	}
	return a, nil
}

// checkFlag tells what an operator may list from what no job could ever give.
func checkFlag(flag string) error {
	const field = "allow.envoy_args"
	if flag == anyFlag {
		return nil
	}
	if !isFlag(flag) || envoy.FlagName(flag) != flag {
		return sidecar.Invalidf(field, "%q is not the name of a flag; list names such as \"--log-format\", or \"*\" for any", flag)
	}
	if err := envoy.CheckArgs([]string{flag}); err != nil {
		return sidecar.Invalidf(field, "%v", err)
	}
	return nil
}

// isFlag tells a flag from a value, and from "--", after which Envoy takes nothing for a flag.
func isFlag(arg string) bool { return strings.TrimLeft(arg, "-") != "" && strings.HasPrefix(arg, "-") }

// judge says what of a job's config is not the job's to say. (Of users, see runAs.)
func (a allow) judge(config TaskConfig) error {
	e, c, b := orZero(config.Envoy), orZero(config.Consul), orZero(config.Bootstrap)
	switch {
	case e.Path != "" && !a.envoyPath:
		return closed("envoy.path", e.Path, "envoy_path = true")
	case b.Path != "" && !a.bootstrapPath:
		return closed("bootstrap.path", b.Path, "bootstrap_path = true")
	case c.Address != "" && !a.consulAddress:
		return closed("consul.address", c.Address, "consul_address = true")
	case c.GRPCAddress != "" && !a.consulAddress:
		return closed("consul.grpc_address", c.GRPCAddress, "consul_address = true")
	case strings.HasPrefix(c.Address, "unix:"):
		return sidecar.Invalidf("consul.address", "%q is a socket, which the plugin would open as root; name an address and a port, or have the operator set consul { address = … } in plugin \"nomad-driver-connect\" { config { … } }", c.Address)
	}
	return a.args(e.Args)
}

// args judges every argument that Envoy could take for a flag: which of them are values
// depends on the version of Envoy.
func (a allow) args(args []string) error {
	const field = "envoy.args"
	if err := envoy.CheckArgs(args); err != nil {
		return sidecar.Invalidf(field, "%v", err)
	}
	for i, arg := range args {
		name := envoy.FlagName(arg)
		if !strings.HasPrefix(arg, "-") {
			if i == 0 {
				return sidecar.Invalidf(field, "%q is not a flag of Envoy, and stands before any", arg)
			}
			continue // the value of the one before
		}
		if !isFlag(arg) {
			return sidecar.Invalidf(field, "%q is not a flag of Envoy", arg)
		}
		if !slices.Contains(a.flags, anyFlag) && !slices.Contains(a.flags, name) {
			return closed(field, name, fmt.Sprintf("envoy_args = [%q]", name))
		}
	}
	return nil
}

// closed is the answer to a word that is not the job's.
func closed(field, value, key string) error {
	return sidecar.Invalidf(field, "%q is not for jobs to choose on this node; leave it out, or have the operator set allow { %s } in plugin \"nomad-driver-connect\" { config { … } }", value, key)
}

// opened names what is open, for the node's attributes.
func (a allow) opened() map[string]string {
	open := map[string]string{}
	for name, is := range map[string]bool{"envoy_path": a.envoyPath, "bootstrap_path": a.bootstrapPath, "consul_address": a.consulAddress} {
		if is {
			open[name] = "true"
		}
	}
	if len(a.flags) > 0 {
		open["envoy_args"] = strings.Join(a.flags, " ")
	}
	var names []string
	for _, u := range a.users {
		names = append(names, u.Name)
	}
	if len(names) > 0 {
		open["users"] = strings.Join(names, " ")
	}
	return open
}
