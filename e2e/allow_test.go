package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/agents"
)

// What the operator has not left to jobs is a final event that names the field, what was
// given and the operator's key.
func TestAllow_closed(t *testing.T) {
	c := cluster(t)
	const closed = " is not for jobs to choose on this node; leave it out, or have the operator set allow { "
	envoy := func(fields string) string { return withSidecar("", "envoy {\n"+fields+"\n}") }
	makeMistakes(t, c, []mistake{
		{name: "path", config: envoy(`path = "/bin/true"`), want: `envoy.path: "/bin/true"` + closed + "envoy_path = true }"},
		{name: "args", config: envoy(`args = ["--log-path", "/etc/x"]`), want: `envoy.args: "--log-path"` + closed + `envoy_args = ["--log-path"] }`},
		{name: "args of the driver's", config: envoy(`args = ["-c /etc/x"]`), want: `envoy.args: "-c" cannot be given`},
		{name: "user", config: envoy(`user = "daemon"`), want: `envoy.user: "daemon"` + closed + `users = ["daemon"] }`},
		{name: "nobody", user: "nobody", config: withSidecar("", ""), want: `user: "nobody" cannot be chosen: a proxy does not run as nobody`},
		{name: "user of the task", user: "daemon", config: withSidecar("", ""), want: `user: "daemon"` + closed},
		{name: "user of the task by number", user: "1", config: withSidecar("", ""), want: `user: "1"` + closed},
		{name: "a user as Nomad's", user: "nomad-1", config: withSidecar("", ""), want: `user: "nomad-1" is none of those that Nomad makes up`},
		{name: "root by number", user: "0", config: withSidecar("", ""), want: `user: "0" cannot be chosen: a proxy does not run as root`},
		{name: "root", user: "root", config: withSidecar("", ""), want: `running as user "root" is disallowed`}, // by user.denylist of the client
		{name: "Consul", config: withSidecar("", "consul {\n address = \"127.0.0.1:8500\"\n}"), want: `consul.address: "127.0.0.1:8500"` + closed + "consul_address = true }"},
	})
	allowed(t, c, map[string]string{"users": agents.EdgeUser, "bootstrap_path": "true"})
}

// What is open may be wrong in its own ways.
func TestAllow_open(t *testing.T) {
	c := newCluster(t, agents.Options{Allow: "envoy_path = true\nenvoy_args = [\"--log-format\"]\nconsul_address = true\nbootstrap_path = false"})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	dir, err := filepath.Abs(*tools)
	must.NoError(t, err)
	noGRPC := startConsul(t, dir, agents.ConsulOptions{NoGRPC: true})
	noConnect := startConsul(t, dir, agents.ConsulOptions{NoConnect: true})
	plain := filepath.Join(c.Dir, "bin", "plain")
	must.NoError(t, os.WriteFile(plain, []byte("not a program"), 0o644))
	makeMistakes(t, c, []mistake{
		{name: "envoy missing", config: withSidecar("", "envoy {\n path = \"/nowhere/envoy\"\n}"), want: "envoy.path: there is no Envoy at /nowhere/envoy; install it there"},
		{name: "envoy not executable", config: withSidecar("", fmt.Sprintf("envoy {\n path = %q\n}", plain)), want: "is not an executable file"},
		{name: "not an envoy", config: withSidecar("", "envoy {\n path = \"/bin/true\"\n}"), want: "envoy.path: /bin/true is not an Envoy: `--version` prints"},
		{name: "consul unreachable", config: withSidecar("", "consul {\n address = \"127.0.0.1:1\"\n}"), want: "Consul does not answer at 127.0.0.1:1", again: true},
		{name: "consul without gRPC", config: withSidecar("", fmt.Sprintf("consul {\n address = %q\n}", noGRPC.HTTP)), want: "has gRPC disabled", again: true},
		{name: "consul without Connect", config: withSidecar("", fmt.Sprintf("consul {\n address = %q\n}", noConnect.HTTP)), want: "has the service mesh disabled", again: true},
		{name: "consul on a socket", config: withSidecar("", "consul {\n address = \"unix:///run/consul.sock\"\n}"), want: "is a socket, which the plugin would open as root"},
		{name: "bootstrap", config: "bootstrap {\n path = \"local/envoy.yaml\"\n}", want: "bootstrap.path: \"local/envoy.yaml\" is not for jobs to choose on this node"},
	})
	allowed(t, c, map[string]string{"users": agents.EdgeUser, "envoy_path": "true", "envoy_args": "--log-format", "consul_address": "true"})
}

// allowed reads what is open where an operator does.
func allowed(t *testing.T, c *agents.Cluster, want map[string]string) {
	t.Helper()
	_, attributes, err := c.Nomad.Driver(t.Context())
	must.NoError(t, err)
	for _, name := range []string{"users", "envoy_path", "envoy_args", "consul_address", "bootstrap_path"} {
		must.Eq(t, want[name], attributes["driver.connect.allow."+name], must.Sprint(name))
	}
	node, err := c.Nomad.Node(t.Context())
	must.NoError(t, err)
	out, err := c.Shell(t.Context(), "nomad node status -verbose "+node.ID).Output()
	must.NoError(t, err)
	must.StrContains(t, string(out), "driver.connect.allow.users")
}
