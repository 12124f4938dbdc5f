package differential

// connectJobs have every field of connect besides upstreams and sidecar_task.
func connectJobs() []Job {
	return []Job{
		{Name: "connect.native", blocks: web("task = \"app\"\n connect {\n native = true\n}")},
		{Name: "sidecar_service.port", blocks: connect("sidecar_service {\n port = \"mesh\"\n}")},
		{Name: "sidecar_service.port, of the group", blocks: network("port \"http\" {}\nport \"mesh\" {\n to = 20000\n}") + connect("sidecar_service {\n port = \"mesh\"\n}")},
		{Name: "the port connect-proxy-web", blocks: network("port \"http\" {}\nport \"connect-proxy-web\" {\n to = 25001\n}") + with()},
		{Name: "the port connect-proxy-web, static", blocks: network("port \"http\" {}\nport \"connect-proxy-web\" {\n static = 25001\n}") + with(), Native: "Port label connect-proxy-web already in use"},
		{Name: "sidecar_service.tags, meta, disable_default_tcp_check", blocks: connect("sidecar_service {\n tags = [\"a\"]\n meta {\n a = \"1\"\n }\n disable_default_tcp_check = true\n}")},
		{Name: "proxy.local_service_address, local_service_port", blocks: proxy("local_service_address = \"127.0.0.2\"\n local_service_port = 8080")},
		{Name: "proxy.config", blocks: proxy("config {\n protocol = \"http\"\n local_connect_timeout_ms = 250\n envoy_stats_tags = [\"a=b\"]\n}")},
		{Name: "proxy.config, where Envoy listens", blocks: proxy("config {\n bind_port = 20000\n envoy_stats_bind_addr = \"0.0.0.0:9103\"\n}")},
		{Name: "proxy.config, a port that is mapped", blocks: network("port \"http\" {}\nport \"metrics\" {\n to = 9102\n}") + proxy("config {\n envoy_prometheus_bind_addr = \"0.0.0.0:9102\"\n}")},
		{Name: "proxy.expose", blocks: network("port \"http\" {}\nport \"metrics\" {\n to = -1\n}") + proxy("expose {\n path {\n path = \"/metrics\"\n protocol = \"http\"\n local_path_port = 9001\n listener_port = \"metrics\"\n }\n}")},
		{Name: "proxy.expose, nothing", blocks: proxy("expose {}")},
		{Name: "proxy.transparent_proxy", blocks: proxy("transparent_proxy {}"), Refused: "transparent_proxy redirects connections"},
		{Name: "gateway.mesh", blocks: network("port \"wan\" {\n static = 8443\n}") + "service {\n name = \"gw\"\n port = \"wan\"\n connect {\n gateway {\n mesh {}\n }\n }\n}\n"},
		{Name: "gateway.terminating", blocks: "service {\n name = \"out\"\n connect {\n gateway {\n proxy {\n connect_timeout = \"3s\"\n }\n terminating {\n service {\n name = \"far\"\n ca_file = \"/ca\"\n sni = \"far\"\n }\n }\n }\n }\n}\n"},
		{Name: "gateway.ingress", blocks: "service {\n name = \"in\"\n port = \"http\"\n connect {\n gateway {\n ingress {\n tls {\n enabled = true\n }\n listener {\n port = 9700\n protocol = \"tcp\"\n service {\n name = \"web\"\n }\n }\n }\n }\n }\n}\n"},
	}
}

// upstreamJobs have every field of upstreams.
func upstreamJobs() []Job {
	return []Job{
		{Name: "upstreams", blocks: upstream()},
		{Name: "upstreams.local_bind_address", blocks: upstream(`local_bind_address = "127.0.0.2"`)},
		{Name: "upstreams.destination_*, datacenter", blocks: upstream(`destination_type = "service"`, `destination_namespace = "ns"`, `destination_partition = "p"`, `destination_peer = "peer"`, `datacenter = "dc2"`)},
		{Name: "upstreams.mesh_gateway", blocks: upstream("mesh_gateway {\n mode = \"local\"\n}")},
		{Name: "upstreams.config", blocks: upstream("config {\n protocol = \"http\"\n connect_timeout_ms = 5000\n limits {\n max_connections = 3\n }\n}")},
		{Name: "upstreams.local_bind_socket_path, local_bind_socket_mode", blocks: proxy("upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"/run/db.sock\"\n local_bind_socket_mode = \"0660\"\n}")},
		{Name: "two upstreams", blocks: proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_port = 9192\n}")},
		{Name: "two upstreams on one port", blocks: proxy("upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n}\nupstreams {\n destination_name = \"cache\"\n local_bind_port = 9191\n}"), Native: "using same address for upstreams", Refused: "is to be where the upstream"},
	}
}

// sidecarTaskJobs have every field of sidecar_task.
func sidecarTaskJobs() []Job {
	return []Job{
		{Name: "sidecar_task.name", blocks: sidecarTask(`name = "mesh"`)},
		{Name: "sidecar_task.driver, config", blocks: sidecarTask("driver = \"exec\"\n config {\n command = \"envoy\"\n}")},
		{Name: "sidecar_task.config", blocks: sidecarTask("config {\n image = \"envoy\"\n}")},
		{Name: "sidecar_task.user", blocks: sidecarTask(`user = "envoy"`)},
		{Name: "sidecar_task.env, meta", blocks: sidecarTask("env {\n A = \"1\"\n}\n meta {\n a = \"1\"\n}")},
		{Name: "sidecar_task.resources", blocks: sidecarTask("resources {\n cpu = 100\n memory = 64\n memory_max = 256\n}")},
		{Name: "sidecar_task.kill_timeout, kill_signal", blocks: sidecarTask("kill_timeout = \"30s\"\n kill_signal = \"SIGINT\"")},
		{Name: "sidecar_task.shutdown_delay", blocks: sidecarTask(`shutdown_delay = "3s"`)},
		{Name: "sidecar_task.logs", blocks: sidecarTask("logs {\n max_files = 3\n max_file_size = 4\n}")},
		{Name: "sidecar_task.volume_mount", blocks: "volume \"v\" {\n type = \"host\"\n source = \"v\"\n}\n" + sidecarTask("volume_mount {\n volume = \"v\"\n destination = \"/v\"\n}")},
		{Name: "sidecar_task.identity", blocks: sidecarTask("identity {\n name = \"mesh\"\n file = true\n}")},
	}
}
