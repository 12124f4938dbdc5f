package hook

import (
	"fmt"
	"strings"

	"nomad-driver-connect/e2e/stanza"
)

// checkCase is a job that is told of, and what is nearest to it that is not.
type checkCase struct {
	code   string
	loud   []string // jobs
	want   string   // of the first
	on     string   // the line of the file
	silent []string
}

// groups is a job of groups, whose blocks are given. What every check but one is
// silent about is in each of them.
func groups(blocks ...string) string {
	var out strings.Builder
	for i, b := range blocks {
		fmt.Fprintf(&out, "group %q {\nshutdown_delay = \"5s\"\n%s\n}\n", string(rune('a'+i)), b)
	}
	return "job \"shop\" {\n" + out.String() + "}"
}

const (
	host = "network {\n mode = \"host\"\n port \"http\" {}\n}\n"
	app  = "task \"app\" {\n driver = \"exec\"\n config {\n  command = \"app\"\n }\n}\n"
)

// calm is a group with an upstream, of which another instance runs while one is
// replaced, and whose upstream is on no port.
func calm(more ...string) string {
	return "count = 2\n" + host + client("local_bind_socket_path = \"/run/db.sock\"") + app + strings.Join(more, "\n")
}

// client is a service with the upstream db, which is where it says.
func client(where string, more ...string) string {
	return stanza.Web(stanza.Proxy("upstreams {\n destination_name = \"db\"\n "+where+"\n}"), more...)
}

// server is a group with a service that has no upstream.
func server(more ...string) string {
	return host + stanza.Web(stanza.Sidecar("")) + app + strings.Join(more, "\n")
}

// own is a group whose sidecar is a task of its author's.
func own(upstream string, more ...string) string {
	return "network {\n mode = \"host\"\n port \"http\" {}\n port \"mesh\" {}\n port \"up\" {}\n}\nservice {\n name = \"web\"\n port = \"http\"\n}\n" + app +
		"task \"proxy\" {\n driver = \"connect\"\n lifecycle {\n hook = \"prestart\"\n sidecar = true\n }\n config {\n service = \"web\"\n sidecar_service {\n port = \"mesh\"\n proxy {\n upstreams {\n destination_name = \"db\"\n" +
		upstream + "\n}\n}\n}\n}\n}\n" + strings.Join(more, "\n")
}

func oneShot(hook, driver, config string) string {
	return fmt.Sprintf("task \"once\" {\n driver = %q\n lifecycle {\n hook = %q\n }\n config {\n%s\n }\n}", driver, hook, config)
}

// without removes a line that every group of groups has.
func withoutDelay(job string) string {
	return strings.ReplaceAll(job, "shutdown_delay = \"5s\"\n", "\n")
}

func bridge(group string) string {
	return strings.ReplaceAll(group, `mode = "host"`, `mode = "bridge"`)
}

func docker(config string) string {
	return "task \"d\" {\n driver = \"docker\"\n config {\n image = \"x\"\n" + config + "\n }\n}\n"
}

func restart(block string) string {
	return "count = 2\n" + host + client("local_bind_socket_path = \"/run/db.sock\"", "check {\n type = \"http\"\n path = \"/\"\n interval = \"5s\"\n timeout = \"1s\"\n"+block+"\n}") + app
}

var (
	number = client("local_bind_port = 9191")
	rolled = "update {\n canary = 1\n}\n"
	dropIn = stanza.Web("sidecar_service {}\n sidecar_task {\n driver = \"connect\"\n config {\n bootstrap {}\n }\n }")
)

var checkCases = []checkCase{
	{
		code: "left-to-nomad",
		loud: []string{
			groups(bridge(server())),
			groups(strings.ReplaceAll(server(), `"host"`, `"cni/mine"`)),
			groups(bridge(host + stanza.Web("gateway {\n ingress {\n listener {\n port = 80\n protocol = \"tcp\"\n service {\n name = \"x\"\n }\n }\n }\n }") + app)),
		},
		want: `group "a": the group is left to Nomad's own Connect (mode = "bridge"); set mode = "host" for this driver's sidecar on the host network, or sidecar_task { driver = "connect" config { bootstrap {} } } for this driver in Nomad's network`,
		on:   `mode = "bridge"`,
		silent: []string{
			groups(bridge(host + dropIn + app)),
			groups(bridge(host + "service {\n name = \"web\"\n}\n" + app)),
			groups(bridge(host + stanza.Web("native = true", `task = "app"`) + app)),
			groups(server()),
		},
	},
	{
		code: "listener-moved",
		loud: []string{
			groups(host + stanza.Web(stanza.Proxy("config {\n envoy_stats_bind_addr = \"0.0.0.0:9102\"\n }")) + app),
			groups(host + stanza.Web(stanza.Proxy("config {\n envoy_prometheus_bind_addr = \"0.0.0.0:9102\"\n }")) + app),
		},
		want: `group "a", service "web": envoy_stats_bind_addr is on port 9102, which every sidecar can have in a network of its own, and one can on the host network: Envoy listens on the new port "connect_listener_web" instead; give the group port "metrics" { to = 9102 }, which is then Envoy's, or { static = 9102 }`,
		on:   `envoy_stats_bind_addr = "0.0.0.0:9102"`,
		silent: []string{
			groups("network {\n port \"http\" {}\n port \"metrics\" {\n to = 9102\n }\n}\n" + stanza.Web(stanza.Proxy("config {\n envoy_stats_bind_addr = \"0.0.0.0:9102\"\n }")) + app),
			groups("network {\n port \"http\" {}\n port \"metrics\" {\n static = 9102\n }\n}\n" + stanza.Web(stanza.Proxy("config {\n envoy_stats_bind_addr = \"0.0.0.0:9102\"\n }")) + app),
			groups("meta {\n scrape = \"9102\"\n}\n" + host + stanza.Web(stanza.Proxy("config {\n envoy_stats_bind_addr = \"0.0.0.0:9102\"\n }")) + app),
			groups(host + stanza.Web(stanza.Proxy("config {\n envoy_stats_bind_addr = \"0.0.0.0:${NOMAD_PORT_http}\"\n }")) + app),
		},
	},
	{
		code:   "own-sidecar-in-bridge",
		loud:   []string{groups(bridge(own(`port = "up"`)))},
		want:   `group "a", task "proxy": sidecar_service is for the host network, and the group is in mode = "bridge": the task will not start; set mode = "host", or give the service connect { sidecar_service {} sidecar_task { driver = "connect" config { bootstrap {} } } } instead of the task`,
		on:     `sidecar_service {`,
		silent: []string{groups(own(`port = "up"`))},
	},
	{
		code: "off-host-network",
		loud: []string{
			groups(server(docker(""))),
			groups(server(docker(`network_mode = "bridge"`))),
			groups(server(strings.ReplaceAll(docker(""), "docker", "podman"))),
			groups(server(strings.ReplaceAll(docker(""), "docker", "containerd-driver"))),
			groups(server(strings.ReplaceAll(docker(""), "docker", "qemu"))),
			groups(own(`port = "up"`, docker(""))),
		},
		want: `group "a", task "d": the task (docker) is not on the host network: its 127.0.0.1 is its own, where no upstream answers and the sidecar finds no app; set config { network_mode = "host" }`,
		on:   `config {`,
		silent: []string{
			groups(server(docker(`network_mode = "host"`))),
			groups(server(docker(`network_mode = "container:app-${NOMAD_ALLOC_ID}"`))),
			groups(server(docker(`network_mode = "${meta.docker_network}"`))),
			groups(server(strings.ReplaceAll(docker("host_network = true"), "docker", "containerd-driver"))),
			groups(bridge(server(docker("")))),
			groups(host + docker("")), // no sidecar
		},
	},
	{
		code: "to-left",
		loud: []string{
			groups(strings.ReplaceAll(own(`port = "up"`), `port "http" {}`, "port \"http\" {\n to = 8080\n}")),
			groups(strings.ReplaceAll(own(`port = "up"`), `port "http" {}`, "port \"http\" {\n static = 80\n to = 8080\n}")),
		},
		want: `group "a": port "http" has to = 8080, and nothing maps ports on the host network: an app that listens on 8080 is not where the port says; let the app listen on ${NOMAD_PORT_http} and remove to, or set static = 8080`,
		on:   `to = 8080`,
		silent: []string{
			groups(strings.ReplaceAll(own(`port = "up"`), `port "http" {}`, "port \"http\" {\n to = -1\n}")),
			groups(strings.ReplaceAll(own(`port = "up"`), `port "http" {}`, "port \"http\" {\n static = 80\n to = 80\n}")),
			groups(strings.ReplaceAll(server(), `port "http" {}`, "port \"http\" {\n to = 8080\n}")), // the hook does it
			groups(strings.ReplaceAll(own(`port = "up"`, docker("ports = [\"http\"]")), `port "http" {}`, "port \"http\" {\n to = 8080\n}")),
			groups("network {\n port \"http\" {\n to = 8080\n }\n}\n" + app), // no sidecar
			groups(bridge(strings.ReplaceAll(server(), `port "http" {}`, "port \"http\" {\n to = 8080\n}"))),
		},
	},
	{
		code: "groups-exclude",
		loud: []string{
			groups(host+number+app, host+number+app),
			groups(server("service {\n name = \"x\"\n port = \"7000\"\n connect {\n sidecar_service {}\n }\n}"), server("service {\n name = \"y\"\n port = \"7000\"\n connect {\n sidecar_service {}\n }\n}")),
			groups(host+number+app, server(), strings.ReplaceAll(host, "{}", "{\n static = 9191\n}")+stanza.Web(stanza.Sidecar(""))+app),
		},
		want: `group "a", service "web": groups "a" and "b" each reserve port 9191 (upstream "db"), so they never share a node; use -dynamic-ports, with which apps find upstreams at NOMAD_UPSTREAM_ADDR_<destination>`,
		on:   `upstreams {`,
		silent: []string{
			groups(host + number + app),
			groups(host+number+app, host+client("local_bind_port = 9192")+app),
			groups(host+number+app, bridge(host+number+app)),
			groups(host+number+app, "network {\n port \"x\" {\n static = 9191\n host_network = \"other\"\n }\n}\n"+stanza.Web(stanza.Sidecar(""))+app),
		},
	},
	{
		code: "one-instance-a-node",
		loud: []string{
			groups("count = 2\n" + host + number + app),
			groups("count = 2\n" + host + strings.ReplaceAll(stanza.Web(stanza.Sidecar("")), `"http"`, `"8080"`) + app),
			groups("count = 2\n" + strings.ReplaceAll(server(), `port "http" {}`, "port \"http\" {\n to = 8080\n}")),
			groups("count = 1\nscaling {\n max = 3\n}\n" + host + number + app),
		},
		want: `group "a": 2 instances need 2 nodes, as each reserves port 9191 (upstream "db"); use -dynamic-ports, with which apps find upstreams at NOMAD_UPSTREAM_ADDR_<destination>`,
		on:   `count = 2`,
		silent: []string{
			groups("count = 1\n" + host + number + app),
			groups("count = 1\nscaling {\n max = 3\n enabled = false\n}\n" + host + number + app),
			groups("count = 2\nconstraint {\n distinct_hosts = true\n}\n" + host + number + app),
			groups(calm()),
			groups("count = 2\n" + strings.ReplaceAll(server(), `port "http" {}`, "port \"http\" {\n static = 8080\n}")), // as it is written
			strings.Replace(groups("count = 2\n"+host+number+app), "{\n", "{\nconstraint {\n distinct_hosts = true\n}\n", 1),
			strings.Replace(groups(host+number+app), "{\n", "{\ntype = \"system\"\n", 1),
		},
	},
	{
		code: "canary-needs-node",
		loud: []string{
			groups(rolled + host + number + app),
			strings.Replace(groups(host+number+app), "{\n", "{\n"+rolled, 1),
			groups(rolled + strings.ReplaceAll(server(), `port "http" {}`, "port \"http\" {\n static = 8080\n}")), // as in bridge mode, and as surprising
		},
		want: `group "a": canaries need free nodes, as every instance reserves port 9191 (upstream "db"): count = 1 and canary = 1 are 2 nodes; use -dynamic-ports, with which apps find upstreams at NOMAD_UPSTREAM_ADDR_<destination>`,
		on:   `canary = 1`,
		silent: []string{
			groups(rolled + calm()),
			groups(host + number + app),
			strings.Replace(groups("update {\n canary = 0\n}\n"+host+number+app), "{\n", "{\n"+rolled, 1),
			groups(rolled + "constraint {\n distinct_hosts = true\n}\n" + host + number + app),
		},
	},
	{
		code: "unreserved-upstream",
		loud: []string{groups("count = 2\n" + own("local_bind_port = 9191")), groups(rolled + own("local_bind_port = 9191"))},
		want: `group "a", task "proxy": the scheduler does not know of port 9191 (upstream "db"): of two instances on a node the second does not start; name a port of the group instead (port = "<label>"), dynamic or static`,
		on:   `local_bind_port = 9191`,
		silent: []string{
			groups(own("local_bind_port = 9191")),
			groups("count = 2\n" + own(`port = "up"`)),
			groups("count = 2\n" + strings.ReplaceAll(own("local_bind_port = 9191"), `port "up" {}`, "port \"up\" {\n static = 9191\n}")),
			groups("count = 2\nconstraint {\n distinct_hosts = true\n}\n" + own("local_bind_port = 9191")),
			groups("count = 2\n" + host + number + app),
		},
	},
	{
		code: "prestart-upstream",
		loud: []string{
			groups(calm(oneShot("prestart", "exec", "command = \"/bin/migrate\""))),
			groups(calm(oneShot("prestart", "docker", "image = \"migrate\"\n network_mode = \"host\""))),
			groups(calm(oneShot("prestart", "exec", "command = \"/bin/sh\"\n args = [\"-c\", \"mkdir -p data && migrate\"]"))),
			groups("count = 2\n" + own(`port = "up"`, oneShot("prestart", "exec", "command = \"/bin/migrate\""))),
		},
		want: `group "a", task "once": a prestart task starts together with the sidecar, before that is ready: upstream "db" (/run/db.sock) may not answer yet; let it try again until the upstream answers, or begin the main task with it`,
		on:   `hook = "prestart"`,
		silent: []string{
			groups(calm(oneShot("prestart", "exec", "command = \"/bin/chown\"\n args = [\"app\", \"data\"]"))),
			groups(calm(oneShot("prestart", "exec", "command = \"sh\"\n args = [\"-ec\", \"mkdir -p data; chown app data\"]"))),
			groups(calm(oneShot("prestart", "exec", "command = \"bash\"\n args = [\"-c\", \"until nc -z 127.0.0.1 9191; do sleep 1; done; migrate\"]"))),
			groups(calm(oneShot("poststart", "exec", "command = \"/bin/migrate\""))),
			groups(calm(strings.ReplaceAll(oneShot("prestart", "exec", "command = \"/bin/log\""), "hook =", "sidecar = true\n hook ="))),
			groups(server(oneShot("prestart", "exec", "command = \"/bin/migrate\""))), // no upstream
		},
	},
	{
		code: "poststop-upstream",
		loud: []string{groups(calm(oneShot("poststop", "exec", "command = \"/bin/bye\"")))},
		want: `group "a", task "once": a poststop task runs when the sidecar has ended: upstream "db" (/run/db.sock) does not answer any more; let the main task do it when it is stopped, within its kill_timeout`,
		on:   `hook = "poststop"`,
		silent: []string{
			groups(calm(oneShot("poststop", "exec", "command = \"rm\"\n args = [\"-r\", \"data\"]"))),
			groups(server(oneShot("poststop", "exec", "command = \"/bin/bye\""))),
		},
	},
	{
		code: "no-shutdown-delay",
		loud: []string{withoutDelay(groups(server())), withoutDelay(groups(own(`port = "up"`)))},
		want: `group "a": the group has no shutdown_delay: at a stop its tasks end while peers still come, and those get errors; set shutdown_delay = "5s" in the group`,
		on:   `group "a" {`,
		silent: []string{
			groups(server()),
			strings.ReplaceAll(groups(server()), `"5s"`, `"0s"`), // as it is written
			strings.Replace(withoutDelay(groups(server())), "exec\"\n", "exec\"\n shutdown_delay = \"5s\"\n", 1),
			strings.Replace(withoutDelay(groups(server())), "{\n", "{\ntype = \"batch\"\n", 1),
			withoutDelay(groups("service {\n name = \"cli\"\n connect {\n" + stanza.Upstream() + "\n }\n}\n" + app)), // nobody comes in
			withoutDelay(groups(bridge(server()))),
			withoutDelay(groups(host + app)),
		},
	},
	{
		code: "check-restart-grace",
		loud: []string{
			groups(restart("check_restart {\n limit = 3\n grace = \"5s\"\n}")),
			groups(restart("check_restart {\n limit = 1\n}")),
			groups(strings.Replace(restart(""), "check {", "check_restart {\n limit = 2\n}\ncheck {", 1)),
		},
		want: `group "a", service "web": check_restart restarts the tasks when a check fails for 15s from the beginning, and the app begins when its sidecar is ready, which may take 30s; set check_restart { grace = "40s" } or more`,
		on:   `check_restart {`,
		silent: []string{
			groups(restart("")),
			groups(restart("check_restart {\n limit = 3\n grace = \"30s\"\n}")),
			groups(restart("check_restart {\n limit = 7\n grace = \"1s\"\n}")), // 31 s
			groups(restart("check_restart {\n grace = \"1s\"\n}")),
			groups(strings.Replace(restart("check_restart {\n limit = 1\n grace = \"8s\"\n}"), "connect {", "connect {\n sidecar_task {\n config {\n ready {\n timeout = \"8s\"\n }\n }\n }", 1)),
			groups(strings.Replace(server(), "connect {", "check {\n type = \"http\"\n path = \"/\"\n interval = \"5s\"\n timeout = \"1s\"\n check_restart {\n limit = 1\n }\n}\nconnect {", 1)), // starts beside it
		},
	},
	{
		code: "upstream-replaces",
		loud: []string{
			groups(strings.Replace(calm(), "count = 2", "count = 1", 1)),
			groups("update {\n max_parallel = 2\n}\n" + calm()),
			strings.Replace(groups(strings.Replace(calm(), "count = 2", "", 1)), "{\n", "{\ntype = \"batch\"\n", 1),
		},
		want: `group "a", service "web": a change of upstreams replaces the allocation, where Nomad's own Connect changes it in place, and no instance runs meanwhile; set a greater count, or update { canary = 1 }, before you change them`,
		on:   `upstreams {`,
		silent: []string{
			groups(calm()),
			groups(rolled + strings.Replace(calm(), "count = 2", "", 1)),
			groups(own(`port = "up"`)),
			groups(server()),
			strings.Replace(groups(strings.Replace(calm(), "count = 2", "", 1)), "{\n", "{\ntype = \"system\"\n", 1),
			strings.Replace(groups(strings.Replace(calm(), "count = 2", "", 1)), "{\n", "{\ntype = \"batch\"\nperiodic {\n crons = [\"@daily\"]\n}\n", 1),
		},
	},
	{
		code: "weights-capped",
		loud: []string{groups(strings.Replace(server(), "connect {", "weights {\n passing = 1000\n warning = 1\n}\nconnect {", 1))},
		want: `group "a", service "web": the mesh knows weights up to 128, and takes 1000 for that; divide the weights of all instances, so that the greatest is 128`,
		on:   `weights {`,
		silent: []string{
			groups(strings.Replace(server(), "connect {", "weights {\n passing = 128\n warning = 1\n}\nconnect {", 1)),
			groups(host + "service {\n name = \"web\"\n weights {\n passing = 1000\n }\n}\n" + app),
		},
	},
	{
		code: "weights-ignored",
		loud: []string{groups(bridge(strings.Replace(host+dropIn+app, "connect {", "weights {\n passing = 2\n}\nconnect {", 1)))},
		want: `group "a", service "web": Nomad's own Connect registers sidecars without weights: all instances are alike to the mesh; remove weights, or set mode = "host", where the sidecar has those of the service`,
		on:   `weights {`,
		silent: []string{
			groups(bridge(host + dropIn + app)),
			groups(strings.Replace(server(), "connect {", "weights {\n passing = 2\n}\nconnect {", 1)),
		},
	},
}
