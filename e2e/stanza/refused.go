package stanza

import "strings"

// Refusal is a group that cannot be on the host network, and a part of what is said.
type Refusal struct{ Name, Group, Error string }

// Refusals are what cannot be on the host network, with what its author is told.
func Refusals() []Refusal {
	named := func(name string) string {
		return Network + "service {\n name = \"" + name + "\"\n port = \"http\"\n connect {\n sidecar_service {}\n }\n}"
	}
	two := func(a, b string) string {
		return Network + Web(Proxy("upstreams {\n destination_name = \"db\"\n"+a+"\n}\nupstreams {\n destination_name = \"cache\"\n"+b+"\n}"))
	}
	kind := "task \"own\" {\n driver = \"exec\"\n kind = \"connect-%s:web\"\n}\n"
	return []Refusal{
		{"transparent proxy", Network + Web(Proxy("transparent_proxy {}")), `group "g", service "web": transparent_proxy redirects connections inside of a network namespace`},
		{"kind without a network", strings.Replace(kind, "%s", "native", 1), `group "g": task "own" has kind = "connect-native:web", and the group no network block: Nomad's client crashes on that; add network { mode = "host" }`},
		{"kind without a network, with connect", strings.Replace(kind, "%s", "proxy", 1) + Web(Sidecar("")), `kind = "connect-proxy:web", and the group no network block`},
		{"a sidecar by hand", Network + strings.Replace(kind, "%s", "proxy", 1) + Web(Sidecar("")), `group "g", service "web": task "own" is a sidecar by hand (kind = "connect-proxy:web"); say in connect { sidecar_task }`},
		{"a sidecar of this driver", Network + "task \"own\" {\n driver = \"connect\"\n config {\n service = \"web\"\n sidecar_service {}\n }\n}\n" + Web(Sidecar("")), `task "own" is the service's sidecar already`},
		{"two networks", Network + Network + Web(Sidecar("")), `group "g": the group has 2 network blocks`},
		{"no network", "network {\n mode = \"none\"\n}\n" + Web(Sidecar("")), `group "g": the group has no network (mode = "none")`},
		{"upper case", named("Web"), `group "g", service "Web": Consul's mesh takes names of lower case letters, digits and hyphens inside, 63 at most; rename the service`},
		{"underscore", named("my_web"), `service "my_web": Consul's mesh takes`},
		{"too long", named(strings.Repeat("a", 64)), `63 at most`},
		{"a name to come", named("web-${NOMAD_ALLOC_INDEX}"), `service "web-${NOMAD_ALLOC_INDEX}": the name is not known before the job runs`},
		{"a region to come", named("web-${NOMAD_REGION}"), `when the job says which they are`},
		{"two things in one", Network + Web("native = true\n sidecar_service {}"), `connect has more than one of native, sidecar_service and gateway; leave one`},
		{"Nomad's services", Network + Web(Sidecar(""), `provider = "nomad"`), `provider = "nomad" has no mesh`},
		{"another Consul", Network + Web(Sidecar(""), `cluster = "two"`), `it is of the Consul cluster "two"`},
		{"to beside static", "network {\n port \"http\" {\n static = 80\n to = 8080\n }\n}\n" + Web(Sidecar("")), `port "http" is static = 80 and to = 8080, and nothing maps ports on the host network; let the app listen on 80, and remove to`},
		{"to on a taken port", "network {\n port \"http\" {\n to = 8080\n }\n port \"other\" {\n static = 8080\n }\n}\n" + Web(Sidecar("")), `the app listens on 8080 (to of port "http"), but that is the static port "other" already`},
		{"to beside static, by a check", "network {\n port \"http\" {}\n port \"health\" {\n static = 80\n to = 8080\n }\n}\n" + Web(Sidecar(""), "check {\n name = \"alive\"\n type = \"http\"\n path = \"/\"\n port = \"health\"\n interval = \"10s\"\n timeout = \"1s\"\n}"), `group "g": the check "alive" of service "web" is on port "health", and port "health" is static = 80`},
		{"two names of one port", "network {\n port \"http\" {\n to = 8080\n }\n port \"health\" {\n to = 8080\n }\n}\n" + Web(Sidecar("")) + "service {\n name = \"health\"\n port = \"health\"\n}\n", `group "g": service "health" is on port "health", and the app listens on 8080 (to of port "health"), but that is the static port "http" already`},
		{"an exposed path on no port", Network + Web(Proxy("expose {\n path {\n path = \"/metrics\"\n local_path_port = 9001\n listener_port = \"metrics\"\n }\n }")), `group "g", service "web": the exposed path "/metrics" has listener_port = "metrics", and the group has no port of that label`},
		{"an exposed check of no port", "service {\n name = \"web\"\n connect {\n sidecar_service {}\n }\n check {\n name = \"alive\"\n type = \"http\"\n path = \"/\"\n expose = true\n interval = \"10s\"\n timeout = \"1s\"\n }\n}", `group "g", service "web": the check "alive" is to be exposed, and the service says no port that the app listens on`},
		{"app and sidecar on a port", Network + Web(Sidecar(`port = "http"`)), `the service and its sidecar are both on port "http"`},
		{"two sidecars on a port", "network {\n port \"http\" {}\n port \"mesh\" {}\n}\n" + Web(Sidecar(`port = "mesh"`)) + "service {\n name = \"api\"\n port = \"9000\"\n connect {\n sidecar_service {\n port = \"mesh\"\n }\n }\n}", `its sidecar is on port "mesh", and so is that of "api"`},
		{"twins", Network + Web(Sidecar("")) + "service {\n name = \"web\"\n}", `another service of the group has that name, and only ports tell them apart`},
		{"upstreams on one port", two("local_bind_port = 9191", "local_bind_port = 9191"), `the upstream "cache" of service "web" is to be where the upstream "db" of service "web" is already (127.0.0.1:9191)`},
		{"upstreams on every address", two("local_bind_port = 9191", "local_bind_port = 9191\n local_bind_address = \"0.0.0.0\""), `is already (0.0.0.0:9191)`},
		{"upstreams on one socket", two(`local_bind_socket_path = "/s"`, `local_bind_socket_path = "/s"`), `is already (/s)`},
		{"upstream on the app's port", "network {\n port \"http\" {\n static = 9191\n }\n}\n" + Web(Upstream()), `the upstream "db" of service "web" is to be on port 9191, which is the group's static port "http" already`},
		{"upstream on the app's number", "service {\n name = \"web\"\n port = \"9191\"\n connect {\n" + Upstream() + "\n }\n}", `which is the group's static port "connect-service-web" already`},
		{"no destination", Network + Web(Proxy("upstreams {\n local_bind_port = 1\n}")), `an upstream has no destination_name`},
		{"port out of range", two("local_bind_port = 70000", ""), `upstream "db": local_bind_port = 70000 is not a port`},
		{"address that is a name", Network + Web(Upstream(`local_bind_address = "localhost"`)), `upstream "db": local_bind_address = "localhost" is not an IP address`},
		{"the app's address is a name", Network + Web(Proxy(`local_service_address = "localhost"`)), `local_service_address = "localhost" is not an IP address`},
		{"the app's port out of range", Network + Web(Proxy("local_service_port = 70000")), `local_service_port = 70000 is not a port`},
		{"socket and port", Network + Web(Upstream(`local_bind_socket_path = "/s"`)), `local_bind_socket_path goes neither with local_bind_port nor with local_bind_address`},
		{"relative socket", two(`local_bind_socket_path = "s"`, ""), `local_bind_socket_path = "s" is not absolute`},
		{"mode without socket", Network + Web(Upstream(`local_bind_socket_mode = "0600"`)), `local_bind_socket_mode goes only with local_bind_socket_path`},
		{"upstream's config", Network + Web(Upstream("config {\n max_connections = 3\n}")), `upstream "db": config.max_connections is unknown to the driver, which knows balance_outbound_connections, connect_timeout_ms`},
		{"upstream's inner config", Network + Web(Upstream("config {\n limits {\n max = 3\n }\n}")), `config.limits.max is unknown to the driver, which knows max_concurrent_requests, max_connections, max_pending_requests`},
		{"upstream's config of a wrong kind", Network + Web(Upstream("config {\n limits = 3\n}")), `config.limits is a single value; it is one block`},
		{"another's config beside the driver's", Network + Web(SidecarTask("config {\n image = \"envoy\"\n drain {}\n}")), `sidecar_task.config has "image", which driver "connect" does not know (it knows consul, drain, envoy, ready, service, service_port); if it is for Docker, say so with driver = "docker", and it is left out`},
		{"config of the stanza", Network + Web(SidecarTask("config {\n sidecar_service {}\n}")), `sidecar_task.config has "sidecar_service", which comes from the connect block`},
	}
}
