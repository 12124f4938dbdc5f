package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"nomad-driver-connect/e2e/agents"
)

// attempt is what the author of a job tries, who stops it, and what is said of it. One
// that nobody needs to stop, since it harms nobody, gets its proxy.
type attempt struct {
	name, by string

	config  string // of the sidecar's task
	user    string // the task's
	network string
	check   string // of the group's service
	local   string // a file in the task's local/ directory: local/file
	event   string // what is said; empty when the proxy runs
}

// job is the attempt as a job.
func (a attempt) job(id string) string {
	job := mistakeJob(id, a.network, a.config)
	if a.check != "" {
		job = strings.Replace(job, "      port = \"http\"\n", "      port = \"http\"\n"+a.check, 1)
	}
	task := "driver = \"connect\""
	if a.user != "" {
		task += fmt.Sprintf("\nuser = %q", a.user)
	}
	if a.local != "" {
		task += fmt.Sprintf("\ntemplate {\n destination = \"local/file\"\n data = <<-EOF\n%s\nEOF\n}", a.local)
	}
	return strings.Replace(job, "driver = \"connect\"", task, 1)
}

// outcome is the sentence that says what came of an attempt.
func (a attempt) outcome(ctx context.Context, c *agents.Cluster, job string) (said string, err error) {
	allocs, err := c.Nomad.Allocs(ctx, job)
	if err != nil {
		return "", err
	}
	want := cmp.Or(a.event, "is ready in")
	var events []string
	for _, alloc := range allocs {
		events = append(events, agents.Events(alloc, "proxy")...)
		if a.check != "" && !hasRun(ctx, c, alloc) {
			return "", errors.New("the check has not run yet")
		}
	}
	at := slices.IndexFunc(events, func(e string) bool { return strings.Contains(e, want) })
	if at < 0 {
		return "", fmt.Errorf("no event says %q:\n%s", want, strings.Join(events, "\n"))
	}
	return events[at], nil
}

// hasRun tells whether the check of an allocation's service has.
func hasRun(ctx context.Context, c *agents.Cluster, alloc *api.Allocation) bool {
	checks, err := c.Consul.Client.Agent().ChecksWithFilterOpts(`Name == "hostile"`, (&consul.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return false
	}
	for _, check := range checks {
		if strings.Contains(check.ServiceID, alloc.ID) && (check.Output != "" || check.Status == consul.HealthPassing) {
			return true
		}
	}
	return false
}

// try makes all attempts at a time beside a victim whose clients notice nothing, and looks
// for what is left of them.
func try(t *testing.T, c *agents.Cluster, victim *shop, traps *traps, attempts []attempt) {
	t.Helper()
	said := make([]string, len(attempts))
	report := measured(t, agents.AskEcho(victim.upstream), 20, "hostile jobs", func() {
		job := func(i int) string { return fmt.Sprintf("hostile-%d", i) }
		for i, a := range attempts {
			_, err := c.Nomad.Run(t.Context(), a.job(job(i)))
			must.NoError(t, err, must.Sprint(a.name))
		}
		for i, a := range attempts {
			t.Run(a.name, func(t *testing.T) {
				eventually(t, 60*time.Second, func(ctx context.Context) (err error) {
					said[i], err = a.outcome(ctx, c, job(i))
					return err
				})
			})
		}
		for i := range attempts {
			must.NoError(t, c.Nomad.Purge(t.Context(), job(i)))
		}
		onlyVictimLeft(t, c, victim, traps)
	})
	must.Eq(t, 0, report.Failed, must.Sprintf("%s; first: %v", report, report.FirstFailure))
	traps.untouched(t)
	must.LessEq(t, 256<<20, peakMemory(t, c.Plugins()[0]), must.Sprint("of the plugin, in bytes"))
	logTable(t, attempts, said)
}

// logTable shows what was tried.
func logTable(t *testing.T, attempts []attempt, said []string) {
	t.Helper()
	var table strings.Builder
	for i, a := range attempts {
		fmt.Fprintf(&table, "\n%-42s| %-32s| %s", a.name, a.by, said[i])
	}
	t.Log(table.String())
}

// onlyVictimLeft waits until processes, registrations and directories are the victim's.
func onlyVictimLeft(t *testing.T, c *agents.Cluster, victim *shop, traps *traps) {
	t.Helper()
	eventually(t, 60*time.Second, func(ctx context.Context) error {
		proxies, err := c.Consul.Proxies(ctx)
		if err != nil {
			return err
		}
		if envoys, dirs := c.Processes("envoy"), c.RunDirs(); len(proxies) != 2 || len(envoys) != 2 || len(dirs) != 2+len(traps.directories) {
			return fmt.Errorf("the victim has two sidecars; there are %d registrations, %d Envoys, %d directories", len(proxies), len(envoys), len(dirs))
		}
		if left := marked(); len(left) > 0 {
			return fmt.Errorf("processes of hostile jobs are left: %v", left)
		}
		return nil
	})
	must.NoError(t, victim.alive(t.Context()))
}

// openVictim is a pair of an app and a client that has nothing to do with the rest.
func openVictim(t *testing.T, c *agents.Cluster) *shop {
	t.Helper()
	(&shop{Cluster: c}).deploy(t, 1)
	return openShopper(t, c, shopperJob)
}

// alive tells whether a connection goes through both sidecars.
func (s *shop) alive(ctx context.Context) error {
	_, err := agents.SendLine(ctx, "tcp", s.upstream, "alive?")
	return err
}

// proxied is the allocation of the shop, and the process of its Envoy.
func (s *shop) proxied(t *testing.T) (*api.Allocation, int) {
	t.Helper()
	alloc := awaitRunning(t, s.Cluster, "shop", "shop")
	m := &mesh{Cluster: s.Cluster, t: t}
	return alloc, m.envoyOf(alloc)
}

// Where the operator has opened nothing, an author has the operator's Envoy, as a user of
// the task's own, and the files of that user.
func TestHostile_closed(t *testing.T) {
	c := cluster(t)
	victim := openVictim(t, c)
	alloc, envoy := victim.proxied(t)
	traps := setTraps(t, c)
	uid := agents.UserOf(envoy)
	claimByMeta(t, c, alloc, traps)

	attempts := slices.Concat(
		wordsOfTheOperator(traps, uid),
		filesAsTokens(traps),
		filesAsBootstraps(traps),
		bootstrapsOfOthers(traps, fmt.Sprintf("%s/secrets/connect/admin.sock", taskDir(c, alloc, "proxy"))),
		filesOfEnvoy(traps),
		placesOfOthers(traps, alloc, victim.upstream),
		checksThatStay(),
	)
	try(t, c, victim, traps, attempts)
	t.Run("a shell beside the proxy", func(t *testing.T) { shellReachesNothing(t, c, victim, traps) })
}

// Where the operator lets jobs name the program and its arguments, those have no more
// rights than an Envoy, and do not outlive the task.
func TestHostile_open(t *testing.T) {
	c := newCluster(t, agents.Options{Allow: "envoy_path = true\nenvoy_args = [\"*\"]"})
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	victim := openVictim(t, c)
	traps := setTraps(t, c)
	try(t, c, victim, traps, programsOfItsOwn(t, c, traps))
	t.Run("a program that becomes a FIFO", func(t *testing.T) { swapProgram(t, c, traps) })
}

// swapProgram puts what nobody ever opens from the other side in the place of a program that
// runs: the sidecar can be told to restart, and stops in time.
func swapProgram(t *testing.T, c *agents.Cluster, traps *traps) {
	t.Helper()
	path := filepath.Join(traps.dir, "envoy")
	must.NoError(t, os.Link(c.Envoy(), path))
	_, err := c.Nomad.Run(t.Context(), mistakeJob("swap", "", withSidecar("", fmt.Sprintf("envoy {\n path = %q\n}", path))))
	must.NoError(t, err)
	alloc := awaitRunning(t, c, "swap", "g")
	must.NoError(t, unix.Mkfifo(path+".fifo", 0o777))
	must.NoError(t, os.Rename(path+".fifo", path))
	must.NoError(t, c.Nomad.Client.Allocations().Signal(alloc, nil, "proxy", "SIGHUP"))
	began := time.Now()
	must.NoError(t, c.Nomad.Purge(t.Context(), "swap"))
	must.Less(t, 20*time.Second, time.Since(began))
}

// wordsOfTheOperator are what a job cannot choose.
func wordsOfTheOperator(traps *traps, victim int) []attempt {
	const by = "allow"
	const closed = " is not for jobs to choose on this node"
	envoy := func(fields string) string { return withSidecar("", "envoy {\n"+fields+"\n}") }
	quiet := withSidecar("", "")
	return []attempt{
		{name: "a program of its own", by: by, config: envoy(`path = "/bin/sh"`), event: `envoy.path: "/bin/sh"` + closed},
		{name: "an argument that writes a file", by: by, config: envoy(fmt.Sprintf("args = [\"--log-path\", %q]", traps.secret)), event: `envoy.args: "--log-path"` + closed},
		{name: "an argument in another's place", by: by, config: envoy(`args = ["--log-format", "--config-path", "/etc/x"]`), event: `envoy.args: "--config-path" cannot be given`},
		{name: "a bootstrap of its own by argument", by: by, config: envoy(`args = ["-c/etc/x"]`), event: `envoy.args: "-c`},
		{name: "a user of the system", by: by, config: envoy(`user = "www-data"`), event: `envoy.user: "www-data"` + closed},
		{name: "a user of the system by number", by: by, user: "33", config: quiet, event: `user: "33"` + closed},
		{name: "root", by: "Nomad's user.denylist", user: "root", config: quiet, event: `running as user "root" is disallowed`},
		{name: "root by number", by: by, user: "0", config: quiet, event: `user: "0" cannot be chosen`},
		{name: "nobody", by: by, user: "nobody", config: quiet, event: `user: "nobody" cannot be chosen`},
		{name: "the user of a neighbour", by: by, user: fmt.Sprintf("nomad-%d", victim), config: quiet, event: "is that of another task on this node"},
		{name: "the user of a neighbour for Envoy", by: by, config: envoy(fmt.Sprintf("user = \"nomad-%d\"", victim)), event: closed},
		{name: "the number of a neighbour's user", by: by, config: envoy(fmt.Sprintf("user = \"%d\"", victim)), event: closed},
		{name: "a Consul of its own", by: by, config: withSidecar("", "consul {\n address = \"127.0.0.1:8500\"\n}"), event: `consul.address: "127.0.0.1:8500"` + closed},
		{name: "an xDS server of its own", by: by, config: withSidecar("", "consul {\n grpc_address = \"127.0.0.1:8502\"\n}"), event: `consul.grpc_address: "127.0.0.1:8502"` + closed},
		{name: "the identity of a neighbour", by: "the names of identities", config: withSidecar("", "consul {\n identity = \"x/../../../../a2/proxy/secrets/nomad_mesh\"\n}"), event: "is not the name of an identity"},
		{name: "Consul at a socket", by: by, config: withSidecar("", fmt.Sprintf("consul {\n address = \"unix://%s\"\n}", traps.socket)), event: "consul.address"},
	}
}

// filesAsTokens are files that the plugin would read as root.
func filesAsTokens(traps *traps) []attempt {
	var attempts []attempt
	for _, f := range traps.files() {
		attempts = append(attempts, attempt{
			name: f.name + " as a token", by: f.by, event: f.said,
			config: withSidecar("", fmt.Sprintf("consul {\n token_file = %q\n}", f.path)),
		})
	}
	return attempts
}

// filesAsBootstraps are the same.
func filesAsBootstraps(traps *traps) []attempt {
	var attempts []attempt
	for _, f := range traps.files() {
		attempts = append(attempts, attempt{
			name: f.name + " as a bootstrap", by: f.by, event: "bootstrap.path: ",
			config: fmt.Sprintf("bootstrap {\n path = %q\n}", f.path),
		})
	}
	return append(attempts, attempt{
		name: "a bootstrap that grows when it is read", by: "the parser", local: yamlBomb,
		config: "bootstrap {\n path = \"local/file\"\n}", event: "bootstrap.path: ",
	})
}

// yamlBomb has a billion strings.
const yamlBomb = `a: &a ["x","x","x","x","x","x","x","x","x"]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]
h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]
node: *h`

// bootstrapsOfOthers name sockets that the plugin is to speak with, as root, when it looks
// after the proxy and when it drains it.
func bootstrapsOfOthers(traps *traps, sidecar string) []attempt {
	var attempts []attempt
	for name, socket := range map[string]string{"another sidecar": sidecar, "Docker": traps.socket} {
		attempts = append(attempts, attempt{
			name: "the admin API of " + name, by: "an admin API of ours",
			local:  fmt.Sprintf(`{"node": {"id": "x", "cluster": "x"}, "admin": {"address": {"pipe": {"path": %q}}}}`, socket),
			config: "bootstrap {\n path = \"local/file\"\n}",
		})
	}
	return attempts
}

// filesOfEnvoy are files that Envoy is to open, by the escape hatches.
func filesOfEnvoy(traps *traps) []attempt {
	const user = "the proxy's own user"
	cluster := func(ca string) string {
		return hatch("envoy_extra_static_clusters_json", fmt.Sprintf(`{"name": "x", "connect_timeout": "1s", "type": "STATIC", "transport_socket": {"name": "tls", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": {"validation_context": {"trusted_ca": {"filename": %q}}}}}}`, ca))
	}
	return []attempt{
		{name: "/etc/shadow as an access log", by: user, config: hatch("envoy_extra_static_listeners_json", listener("127.0.0.1", 0, "/etc/shadow")), event: "/etc/shadow"},
		{name: "root's file as an access log", by: user, config: hatch("envoy_extra_static_listeners_json", listener("127.0.0.1", 0, traps.secret)), event: traps.secret},
		{name: "a FIFO as an access log", by: "the time a proxy has", config: hatch("envoy_extra_static_listeners_json", listener("127.0.0.1", 0, traps.fifo)), event: "Envoy"},
		{name: "a device as an access log", by: user, config: hatch("envoy_extra_static_listeners_json", listener("127.0.0.1", 0, "/dev/mem")), event: "/dev/mem"},
		{name: "/etc/shadow as a CA", by: user, config: cluster("/etc/shadow"), event: "Envoy refuses the bootstrap with it"},
		{name: "a device as a CA", by: "Envoy", config: cluster("/dev/zero"), event: "Envoy refuses the bootstrap with it"},
		{name: "a FIFO as a CA", by: "the time a proxy has", config: cluster(traps.fifo), event: "Envoy"},
		{name: "ten gigabytes as a CA", by: "the task's memory", config: cluster(traps.huge), event: "Envoy"},
	}
}

// hatch is one of Consul's keys that hold Envoy's own JSON.
func hatch(key, json string) string {
	return withSidecar(fmt.Sprintf("config = {\n %s = <<-EOF\n%s\nEOF\n}", key, json), "ready {\n timeout = \"5s\"\n}")
}

// listener is one of Envoy's that writes an access log.
func listener(address string, port int, log string) string {
	return fmt.Sprintf(`{"name": "x", "address": {"socket_address": {"address": %q, "port_value": %d}},
		"access_log": [{"name": "file", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": %q}}],
		"filter_chains": [{"filters": [{"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "local_agent"}}]}]}`,
		address, port, log)
}

// placesOfOthers are ports and sockets that somebody has already.
func placesOfOthers(traps *traps, victim *api.Allocation, upstream string) []attempt {
	_, port, _ := strings.Cut(upstream, ":")
	mesh, _ := agents.Port(victim, "mesh")
	address, public, _ := strings.Cut(mesh, ":")
	up := func(where string) string {
		return withSidecar("upstreams {\n destination_name = \"shop\"\n "+where+"\n}", "ready {\n timeout = \"3s\"\n}")
	}
	var number int
	_, _ = fmt.Sscan(public, &number)
	return []attempt{
		{name: "the upstream of a neighbour", by: "the look at ports", config: up("local_bind_port = " + port), event: "already in use by another process"},
		{name: "the public listener of a neighbour", by: "the look at ports", config: hatch("envoy_extra_static_listeners_json", listener(address, number, "/dev/null")), event: "already in use by another process"},
		{name: "a socket of root's as an upstream", by: "the proxy's own user", config: up(fmt.Sprintf("local_bind_socket_path = %q", traps.socket)), event: "is not ready"},
		{name: "a socket of root's for a group", by: "the allocation's bounds", config: up(fmt.Sprintf("local_bind_socket_path = %q\n local_bind_socket_group = \"www-data\"", traps.socket)), event: "is not in a directory of its own below the allocation's"},
		{name: "the group of root for a socket", by: "the driver", config: up("local_bind_socket_path = \"${NOMAD_ALLOC_DIR}/tmp/mesh/s.sock\"\n local_bind_socket_group = \"root\""), event: `"root" is root's group`},
		{name: "a socket of root's as the app", by: "the proxy's own user", config: withSidecar(fmt.Sprintf("local_service_socket_path = %q", traps.socket), ""), event: "does not let Envoy in"},
	}
}

// checksThatStay are commands that Nomad has the plugin run, as the proxy's user.
func checksThatStay() []attempt {
	check := func(line string) string {
		return fmt.Sprintf("check {\n type = \"script\"\n name = \"hostile\"\n task = \"proxy\"\n command = \"/bin/sh\"\n args = [\"-c\", %q]\n interval = \"1s\"\n timeout = \"2s\"\n}\n", line)
	}
	return []attempt{
		{name: "a check that prints without an end", by: "4 KB of output, 2 s", config: withSidecar("", ""), check: check("exec yes " + marker)},
		{name: "a check that leaves its session", by: "a cgroup of its own", config: withSidecar("", ""), check: check("(setsid sh -c 'sleep " + marker + " &' &) ; exit 0")},
	}
}

// claimByMeta registers what whoever may write a service can: a sidecar of this node
// whose directory is somebody else's. The sweep takes its word for nothing.
func claimByMeta(t *testing.T, c *agents.Cluster, victim *api.Allocation, traps *traps) {
	t.Helper()
	m := &mesh{Cluster: c, t: t}
	of, err := m.proxyOf(t.Context(), victim)
	must.NoError(t, err)
	traps.addDir(t, taskDir(c, victim, "app")+"/secrets/connect")
	must.NoError(t, c.Consul.Client.Agent().ServiceRegisterOpts(&consul.AgentServiceRegistration{
		ID: "claimed", Name: "claimed",
		Meta: map[string]string{
			"connect-driver-host": of.Meta["connect-driver-host"], "nomad-node-id": of.Meta["nomad-node-id"], "nomad-alloc-id": victim.ID,
			"nomad-task": "app", "proxy-boot-id": of.Meta["proxy-boot-id"], "proxy-pid": of.Meta["proxy-pid"], "proxy-start-time": of.Meta["proxy-start-time"],
		},
	}, consul.ServiceRegisterOpts{}.WithContext(t.Context())))
	t.Cleanup(func() {
		err := c.Consul.Client.Agent().ServiceDeregister("claimed")
		if err != nil && !strings.Contains(err.Error(), "404") {
			t.Error(errors.Join(errors.New("remove what was claimed"), err))
		}
	})
}
