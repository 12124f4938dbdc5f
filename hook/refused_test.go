package hook

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

type refusal struct{ name, group, want string }

// refusals are what cannot be on the host network, with what its author is told.
func refusals() []refusal {
	named := func(name string) string {
		return network + "service {\n name = \"" + name + "\"\n port = \"http\"\n connect {\n sidecar_service {}\n }\n}"
	}
	two := func(a, b string) string {
		return network + web(proxy("upstreams {\n destination_name = \"db\"\n"+a+"\n}\nupstreams {\n destination_name = \"cache\"\n"+b+"\n}"))
	}
	kind := "task \"own\" {\n driver = \"exec\"\n kind = \"connect-%s:web\"\n}\n"
	return []refusal{
		{"transparent proxy", network + web(proxy("transparent_proxy {}")), `group "g", service "web": transparent_proxy redirects connections inside of a network namespace`},
		{"kind without a network", strings.Replace(kind, "%s", "native", 1), `group "g": task "own" has kind = "connect-native:web", and the group no network block: Nomad's client crashes on that; add network { mode = "host" }`},
		{"kind without a network, with connect", strings.Replace(kind, "%s", "proxy", 1) + web(sidecar("")), `kind = "connect-proxy:web", and the group no network block`},
		{"a sidecar by hand", network + strings.Replace(kind, "%s", "proxy", 1) + web(sidecar("")), `group "g", service "web": task "own" is a sidecar by hand (kind = "connect-proxy:web"); say in connect { sidecar_task }`},
		{"a sidecar of this driver", network + "task \"own\" {\n driver = \"connect\"\n config {\n service = \"web\"\n sidecar_service {}\n }\n}\n" + web(sidecar("")), `task "own" is the service's sidecar already`},
		{"two networks", network + network + web(sidecar("")), `group "g": the group has 2 network blocks`},
		{"no network", "network {\n mode = \"none\"\n}\n" + web(sidecar("")), `group "g": the group has no network (mode = "none")`},
		{"upper case", named("Web"), `group "g", service "Web": Consul's mesh takes names of lower case letters, digits and hyphens inside, 63 at most; rename the service`},
		{"underscore", named("my_web"), `service "my_web": Consul's mesh takes`},
		{"too long", named(strings.Repeat("a", 64)), `63 at most`},
		{"a name to come", named("web-${NOMAD_ALLOC_INDEX}"), `service "web-${NOMAD_ALLOC_INDEX}": the name is not known before the job runs`},
		{"a region to come", named("web-${NOMAD_REGION}"), `when the job says which they are`},
		{"two things in one", network + web("native = true\n sidecar_service {}"), `connect has more than one of native, sidecar_service and gateway; leave one`},
		{"Nomad's services", network + web(sidecar(""), `provider = "nomad"`), `provider = "nomad" has no mesh`},
		{"another Consul", network + web(sidecar(""), `cluster = "two"`), `it is of the Consul cluster "two"`},
		{"to beside static", "network {\n port \"http\" {\n static = 80\n to = 8080\n }\n}\n" + web(sidecar("")), `port "http" is static = 80 and to = 8080, and nothing maps ports on the host network; let the app listen on 80, and remove to`},
		{"to on a taken port", "network {\n port \"http\" {\n to = 8080\n }\n port \"other\" {\n static = 8080\n }\n}\n" + web(sidecar("")), `the app listens on 8080 (to of port "http"), but that is the static port "other" already`},
		{"app and sidecar on a port", network + web(sidecar(`port = "http"`)), `the service and its sidecar are both on port "http"`},
		{"two sidecars on a port", "network {\n port \"http\" {}\n port \"mesh\" {}\n}\n" + web(sidecar(`port = "mesh"`)) + "service {\n name = \"api\"\n port = \"9000\"\n connect {\n sidecar_service {\n port = \"mesh\"\n }\n }\n}", `its sidecar is on port "mesh", and so is that of "api"`},
		{"twins", network + web(sidecar("")) + "service {\n name = \"web\"\n}", `another service of the group has that name, and only ports tell them apart`},
		{"upstreams on one port", two("local_bind_port = 9191", "local_bind_port = 9191"), `the upstream "cache" of service "web" is to be where the upstream "db" of service "web" is already (127.0.0.1:9191)`},
		{"upstreams on every address", two("local_bind_port = 9191", "local_bind_port = 9191\n local_bind_address = \"0.0.0.0\""), `is already (0.0.0.0:9191)`},
		{"upstreams on one socket", two(`local_bind_socket_path = "/s"`, `local_bind_socket_path = "/s"`), `is already (/s)`},
		{"upstream on the app's port", "network {\n port \"http\" {\n static = 9191\n }\n}\n" + web(upstream()), `the upstream "db" of service "web" is to be on port 9191, which is the group's static port "http" already`},
		{"upstream on the app's number", "service {\n name = \"web\"\n port = \"9191\"\n connect {\n" + upstream() + "\n }\n}", `which is the group's static port "connect-service-web" already`},
		{"no destination", network + web(proxy("upstreams {\n local_bind_port = 1\n}")), `an upstream has no destination_name`},
		{"port out of range", two("local_bind_port = 70000", ""), `upstream "db": local_bind_port = 70000 is not a port`},
		{"address that is a name", network + web(upstream(`local_bind_address = "localhost"`)), `upstream "db": local_bind_address = "localhost" is not an IP address`},
		{"the app's address is a name", network + web(proxy(`local_service_address = "localhost"`)), `local_service_address = "localhost" is not an IP address`},
		{"the app's port out of range", network + web(proxy("local_service_port = 70000")), `local_service_port = 70000 is not a port`},
		{"socket and port", network + web(upstream(`local_bind_socket_path = "/s"`)), `local_bind_socket_path goes neither with local_bind_port nor with local_bind_address`},
		{"relative socket", two(`local_bind_socket_path = "s"`, ""), `local_bind_socket_path = "s" is not absolute`},
		{"mode without socket", network + web(upstream(`local_bind_socket_mode = "0600"`)), `local_bind_socket_mode goes only with local_bind_socket_path`},
		{"upstream's config", network + web(upstream("config {\n max_connections = 3\n}")), `upstream "db": config.max_connections is unknown to the driver, which knows balance_outbound_connections, connect_timeout_ms`},
		{"upstream's inner config", network + web(upstream("config {\n limits {\n max = 3\n }\n}")), `config.limits.max is unknown to the driver, which knows max_concurrent_requests, max_connections, max_pending_requests`},
		{"upstream's config of a wrong kind", network + web(upstream("config {\n limits = 3\n}")), `config.limits is a single value; it is one block`},
		{"Docker's config", network + web(sidecarTask("config {\n image = \"envoy\"\n}")), `sidecar_task.config has "image", which driver "connect" does not know (it knows consul, drain, envoy, ready, service, service_port); if it is for Docker, say so with driver = "docker", and it is left out`},
		{"config of the stanza", network + web(sidecarTask("config {\n sidecar_service {}\n}")), `sidecar_task.config has "sidecar_service", which comes from the connect block`},
	}
}

func TestRewrite_refused(t *testing.T) {
	for _, tc := range refusals() {
		t.Run(tc.name, func(t *testing.T) {
			job := parse(t, inJob(tc.group))
			before := encode(t, job)
			_, err := Rewrite(job, Options{})
			must.ErrorContains(t, err, tc.want)
			must.Eq(t, before, encode(t, job))
		})
	}
}

// All that is wrong is told at once.
func TestRewrite_refusedTogether(t *testing.T) {
	_, err := Rewrite(parse(t, inJob(network+web(proxy("transparent_proxy {}"))+"service {\n name = \"Up\"\n connect {\n sidecar_service {}\n }\n}")), Options{})
	must.ErrorContains(t, err, `service "Up": Consul's mesh takes`)
	must.ErrorContains(t, err, `service "web": transparent_proxy`)
}

// Groups in bridge or cni mode, and those without Connect, are not looked at.
func TestRewrite_left(t *testing.T) {
	for _, group := range []string{
		"network {\n mode = \"bridge\"\n}\n" + web(proxy("transparent_proxy {}")),
		"network {\n mode = \"cni/mine\"\n}\n" + web(sidecarTask("config {\n image = \"envoy\"\n}")),
		"service {\n name = \"Any_thing\"\n port = \"8080\"\n address_mode = \"alloc\"\n}",
		"network {\n mode = \"host\"\n}\nnetwork {\n mode = \"host\"\n}",
	} {
		job := parse(t, inJob(group))
		result, err := Rewrite(job, Options{})
		must.NoError(t, err)
		must.Eq(t, encode(t, job), encode(t, result.Job))
	}
}
