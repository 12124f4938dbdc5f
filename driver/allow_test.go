package driver

import (
	"slices"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// someAccounts are those of a machine with a few users.
func someAccounts(name string) (process.User, bool) {
	all := []process.User{
		{Name: "root"}, {Name: "operator", UID: 11}, {Name: "nobody", UID: 65534, GID: 65534}, {Name: "nfsnobody", UID: 99, GID: 99},
		{Name: "envoy", UID: 101, GID: 102}, {Name: "consul", UID: 110, GID: 110}, {Name: "late", UID: 80007, GID: 80007},
	}
	numbers := map[string]string{"0": "root", "101": "envoy", "110": "consul", "65534": "nobody", "80007": "late"}
	at := slices.IndexFunc(all, func(u process.User) bool { return u.Name == name || u.Name == numbers[name] })
	if at < 0 {
		return process.User{}, false
	}
	all[at].Switch = true
	return all[at], true
}

// A refusal names the field, the value and the operator's key.
func TestAllow_judge(t *testing.T) {
	t.Parallel()
	shut := false
	for _, tc := range []struct {
		name   string
		opened AllowConfig
		job    TaskConfig
		want   string // empty for nothing
	}{
		{"nothing said", AllowConfig{}, TaskConfig{}, ""},
		{"path", AllowConfig{}, TaskConfig{Envoy: &EnvoyConfig{Path: "/opt/x"}}, `envoy.path: "/opt/x" is not for jobs to choose on this node; leave it out, or have the operator set allow { envoy_path = true } in plugin "nomad-driver-connect" { config { … } }`},
		{"path, open", AllowConfig{EnvoyPath: true}, TaskConfig{Envoy: &EnvoyConfig{Path: "/opt/x"}}, ""},
		{"bootstrap", AllowConfig{}, TaskConfig{Bootstrap: &Bootstrap{Path: "local/x"}}, ""},
		{"bootstrap, closed", AllowConfig{BootstrapPath: &shut}, TaskConfig{Bootstrap: &Bootstrap{Path: "local/x"}}, `bootstrap.path: "local/x" is not for jobs`},
		{"Nomad's bootstrap, closed", AllowConfig{BootstrapPath: &shut}, TaskConfig{Bootstrap: &Bootstrap{}}, ""},
		{"Consul", AllowConfig{}, TaskConfig{Consul: &TaskConsulConfig{Address: "unix:///run/docker.sock"}}, `consul.address: "unix:///run/docker.sock" is not for jobs`},
		{"Consul's xDS", AllowConfig{}, TaskConfig{Consul: &TaskConsulConfig{GRPCAddress: "10.0.0.1:8502"}}, `consul.grpc_address: "10.0.0.1:8502" is not for jobs to choose on this node; leave it out, or have the operator set allow { consul_address = true }`},
		{"Consul's xDS, open", AllowConfig{ConsulAddress: true}, TaskConfig{Consul: &TaskConsulConfig{GRPCAddress: "10.0.0.1:8502"}}, ""},
		{"Consul, open", AllowConfig{ConsulAddress: true}, TaskConfig{Consul: &TaskConsulConfig{Address: "10.0.0.1:8500"}}, ""},
		{"Consul on a socket", AllowConfig{ConsulAddress: true}, TaskConfig{Consul: &TaskConsulConfig{Address: "unix:///run/docker.sock"}}, `consul.address: "unix:///run/docker.sock" is a socket, which the plugin would open as root`},
		{"the rest of consul", AllowConfig{}, TaskConfig{Consul: &TaskConsulConfig{Namespace: "n", TokenFile: "secrets/t"}}, ""},
		{"the rest of envoy", AllowConfig{}, TaskConfig{Envoy: &EnvoyConfig{Concurrency: 2, LogLevel: "debug"}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			allowed, err := newAllow(&tc.opened, someAccounts)
			must.NoError(t, err)
			if err := allowed.judge(tc.job); tc.want == "" {
				must.NoError(t, err)
			} else {
				must.ErrorContains(t, err, tc.want)
			}
		})
	}
}

// A flag is known in each of the ways in which Envoy could read it.
func TestAllow_args(t *testing.T) {
	t.Parallel()
	format := []string{"--log-format"}
	for _, tc := range []struct {
		flags, args []string
		want        string // empty for nothing
	}{
		{nil, nil, ""},
		{nil, []string{"--log-format", "%v"}, `"--log-format" is not for jobs to choose on this node; leave it out, or have the operator set allow { envoy_args = ["--log-format"] }`},
		{format, []string{"--log-format", "%v"}, ""},
		{format, []string{"--log-format=%v", "--log-format %v"}, ""},
		{format, []string{"--log-format", "--log-path", "/etc/x"}, `"--log-path" is not for jobs`},
		{format, []string{"--log-path=/etc/x"}, `"--log-path" is not for jobs`},
		{format, []string{"--log-path /etc/x"}, `"--log-path" is not for jobs`},
		{format, []string{"--log-format", "%v", "-x"}, `"-x" is not for jobs`},
		{format, []string{"%v"}, `"%v" is not a flag of Envoy`},
		{format, []string{"--log-format", "%v", "--", "x"}, `"--" is not a flag of Envoy`},
		{format, []string{"--log-format", "%v", "-"}, `"-" is not a flag of Envoy`},
		{[]string{anyFlag}, []string{"--log-path", "/tmp/x", "--cpuset-threads"}, ""},
		{[]string{anyFlag}, []string{"--cpuset-threads", "-c /etc/x"}, `"-c" cannot be given`},
		{[]string{anyFlag}, []string{"--log-format", "--config-yaml"}, `"--config-yaml" cannot be given`},
	} {
		allowed, err := newAllow(&AllowConfig{EnvoyArgs: tc.flags}, someAccounts)
		must.NoError(t, err)
		if err := allowed.args(tc.args); tc.want == "" {
			must.NoError(t, err, must.Sprint(tc.args))
		} else {
			must.ErrorContains(t, err, "envoy.args: "+tc.want, must.Sprint(tc.args))
		}
	}
}

// Whom a proxy runs as is the operator's to say, or Nomad's.
func TestAllow_runAs(t *testing.T) {
	t.Parallel()
	envoy := process.User{Name: "envoy", UID: 101, GID: 102, Switch: true}
	const closed = " is not for jobs to choose on this node"
	for _, tc := range []struct {
		name   string
		listed []string
		say    users
		want   process.User
		wrong  string // empty for nothing
	}{
		{"Nomad's", nil, users{task: "nomad-80001"}, process.User{Name: "nomad-80001", UID: 80001, GID: 80001, Switch: true}, ""},
		{"the operator's before Nomad's", nil, users{task: "nomad-80001", operator: "envoy"}, envoy, ""},
		{"the operator's", nil, users{operator: "consul"}, process.User{Name: "consul", UID: 110, GID: 110, Switch: true}, ""},
		{"the task's", nil, users{task: "envoy"}, envoy, `user: "envoy"` + closed + `; leave it out, or have the operator set allow { users = ["envoy"] }`},
		{"the task's, open", []string{"envoy"}, users{task: "envoy", operator: "consul"}, envoy, ""},
		{"a number for a name", []string{"envoy"}, users{task: "101"}, envoy, ""},
		{"a name for a number", []string{"101"}, users{task: "envoy"}, envoy, ""},
		{"a number with zeros", []string{"101"}, users{task: "0101"}, envoy, ""},
		{"a number without a name", []string{"9101"}, users{task: "9101"}, process.User{Name: "9101", UID: 9101, GID: 9101, Switch: true}, ""},
		{"envoy.user before the task's", []string{"envoy"}, users{job: "envoy", task: "consul"}, envoy, ""},
		{"envoy.user", []string{"envoy"}, users{job: "consul", task: "envoy"}, envoy, `envoy.user: "consul"` + closed},
		{"Nomad's by envoy.user", []string{"envoy"}, users{job: "nomad-80001"}, envoy, `envoy.user: "nomad-80001"` + closed},
		{"Nomad's by number", nil, users{task: "80001"}, envoy, `user: "80001"` + closed},
		{"unknown", nil, users{task: "x"}, envoy, `user: "x"` + closed},
		{"root", []string{"envoy"}, users{task: "root"}, envoy, "does not run as root"},
		{"root by number", nil, users{job: "00"}, envoy, "does not run as root"},
		{"root's group", nil, users{task: "operator"}, envoy, "nor in root's group"},
		{"nobody", nil, users{task: "nobody"}, envoy, "does not run as nobody"},
		{"nobody by number", nil, users{task: "65534"}, envoy, "does not run as nobody"},
		{"a dynamic root", nil, users{task: "nomad-0"}, envoy, `user: "nomad-0" is none of those that Nomad makes up`},
		{"a dynamic Envoy", nil, users{task: "nomad-101"}, envoy, "(nomad-80000 to nomad-89999)"},
		{"a dynamic number with zeros", nil, users{task: "nomad-080001"}, envoy, "none of those that Nomad makes up"},
		{"a dynamic number that is too large", nil, users{task: "nomad-4295047297"}, envoy, "none of those that Nomad makes up"},
		{"a dynamic user of the machine's", nil, users{task: "nomad-80007"}, envoy, `has the number of the machine's user "late"`},
		{"the operator's is root", nil, users{operator: "root"}, envoy, "of envoy { user = … } in the plugin's config will not do: a proxy does not run as root"},
		{"the operator's is unknown", nil, users{operator: "x"}, envoy, "in the plugin's config is not one of this machine"},
		{"nobody says", nil, users{}, envoy, "Nomad gives no user for the task"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			allowed, err := newAllow(&AllowConfig{Users: tc.listed}, someAccounts)
			must.NoError(t, err)
			u, err := allowed.runAs(tc.say, someAccounts)
			if tc.wrong != "" {
				must.ErrorContains(t, err, tc.wrong)
				return
			}
			must.NoError(t, err)
			must.Eq(t, tc.want, u)
		})
	}
}

// SetConfig refuses what the operator cannot mean.
func TestAllow_mistakes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		said AllowConfig
		want string
	}{
		{AllowConfig{EnvoyArgs: []string{"log-format"}}, `allow.envoy_args: "log-format" is not the name of a flag`},
		{AllowConfig{EnvoyArgs: []string{"--log-format=x"}}, "is not the name of a flag"},
		{AllowConfig{EnvoyArgs: []string{"--"}}, "is not the name of a flag"},
		{AllowConfig{EnvoyArgs: []string{"--config-yaml"}}, `allow.envoy_args: "--config-yaml" cannot be given`},
		{AllowConfig{Users: []string{"x"}}, `allow.users: "x" is not a user of this machine`},
		{AllowConfig{Users: []string{"envoy", "root"}}, `allow.users: "root" cannot be listed`},
		{AllowConfig{Users: []string{"operator"}}, "nor in root's group"},
		{AllowConfig{Users: []string{"nobody"}}, `allow.users: "nobody" cannot be listed`},
		{AllowConfig{Users: []string{"80001"}}, "Nomad gives tasks the users from 80000 to 89999"},
		{AllowConfig{DynamicUserMin: 90000}, "allow.dynamic_user_min: 90000 to dynamic_user_max, 89999, are no numbers of users"},
	} {
		_, err := newAllow(&tc.said, someAccounts)
		must.ErrorContains(t, err, tc.want)
	}
	must.ErrorContains(t, PluginConfig{Allow: &AllowConfig{Users: []string{"root"}}}.validate(), "allow.users")
}

func TestAllow_opened(t *testing.T) {
	t.Parallel()
	allowed, err := newAllow(nil, someAccounts)
	must.NoError(t, err)
	must.Eq(t, map[string]string{"bootstrap_path": "true"}, allowed.opened())
	shut := false
	allowed, err = newAllow(&AllowConfig{EnvoyPath: true, EnvoyArgs: []string{"-x", "--y"}, Users: []string{"101", "9101"}, BootstrapPath: &shut, ConsulAddress: true}, someAccounts)
	must.NoError(t, err)
	must.Eq(t, map[string]string{"envoy_path": "true", "envoy_args": "-x --y", "users": "envoy 9101", "consul_address": "true"}, allowed.opened())
}

// The users of the machine are found by name and by number.
func TestMachineAccounts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"root", "0"} {
		u, ok := machineAccounts(name)
		must.True(t, ok)
		must.Eq(t, process.User{Name: "root", Switch: true}, u)
	}
	_, ok := machineAccounts("no-such-user")
	must.False(t, ok)
}

// A user that Nomad made up for a task is no other's, whoever comes first; a task that is
// started again has its own.
func TestTasks_aloneAs(t *testing.T) {
	t.Parallel()
	known := newTasks()
	config := func(alloc, user string) *drivers.TaskConfig {
		return &drivers.TaskConfig{ID: alloc + "/proxy", AllocID: alloc, Name: "proxy", User: user, AllocDir: "/data/" + alloc}
	}
	first := config("a1", "nomad-80001")
	end := known.begin(first)
	must.NoError(t, known.aloneAs(first))
	must.ErrorContains(t, known.aloneAs(config("a2", "nomad-80001")), `user: "nomad-80001" is that of another task on this node`)
	known.put(first.ID, &task{config: first})
	end()
	err := known.aloneAs(config("a2", "nomad-80001"))
	must.ErrorContains(t, err, "is that of another task on this node")
	must.StrNotContains(t, err.Error(), "a1", must.Sprint("its ID is the way to its files"))
	var start *startError
	must.ErrorAs(t, newStartError(err), &start)
	must.True(t, start.IsRecoverable(), must.Sprint("it may be the one that did not spell it"))
	must.NoError(t, known.aloneAs(config("a1", "nomad-80001")))
	must.NoError(t, known.aloneAs(config("a2", "nomad-80002")))
	must.NoError(t, known.aloneAs(config("a2", "envoy")), must.Sprint("the operator leaves it to all"))
	known.remove(first.ID)
	must.NoError(t, known.aloneAs(config("a2", "nomad-80001")))
}
