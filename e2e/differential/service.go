package differential

// serviceJobs have every field of service.
func serviceJobs() []Job {
	return []Job{
		{Name: "a service", blocks: with()},
		{Name: "service.name, none", blocks: "service {\n port = \"http\"\n" + sidecar + "}\n"},
		{Name: "service.name of the job and the group", blocks: "service {\n name = \"a-${JOB}-${TASKGROUP}-${NOMAD_JOB_NAME}\"\n port = \"http\"\n" + sidecar + "}\n"},
		{Name: "service.name of the base", blocks: "service {\n name = \"${BASE}\"\n port = \"http\"\n" + sidecar + "}\n"},
		{Name: "service.name of meta", job: "meta {\n env = \"prod\"\n}", blocks: "meta {\n tier = \"front\"\n}\nservice {\n name = \"web-${NOMAD_META_env}-${NOMAD_META_TIER}\"\n port = \"http\"\n" + sidecar + "}\n"},
		{Name: "service.name of the region", blocks: "service {\n name = \"web-${NOMAD_REGION}\"\n port = \"http\"\n" + sidecar + "}\n"},
		{Name: "service.name of the namespace", blocks: "service {\n name = \"web-${NOMAD_NAMESPACE}\"\n port = \"http\"\n" + sidecar + "}\n", Native: "must not contain uppercase characters"},
		{Name: "service.port, a number", blocks: number(sidecar)},
		{Name: "service.port, none", blocks: "service {\n name = \"web\"\n connect {\n sidecar_service {\n proxy {\n upstreams {\n destination_name = \"db\"\n local_bind_port = 9191\n }\n }\n }\n }\n}\n"},
		{Name: "service.tags, canary_tags, enable_tag_override", blocks: with(`tags = ["a", "b"]`, `canary_tags = ["c"]`, `enable_tag_override = true`)},
		{Name: "service.meta, canary_meta", blocks: with("meta {\n a = \"1\"\n}", "canary_meta {\n a = \"2\"\n}")},
		{Name: "service.tagged_addresses", blocks: with("tagged_addresses {\n lan = \"10.0.0.1\"\n}")},
		{Name: "service.address_mode, auto", blocks: with(`address_mode = "auto"`)},
		{Name: "service.address_mode, host", blocks: with(`address_mode = "host"`)},
		{Name: "service.address_mode, alloc", blocks: number(`address_mode = "alloc"`, sidecar)},
		{Name: "service.address", blocks: with(`address = "10.0.0.1"`)},
		{Name: "service.on_update", blocks: with(`on_update = "ignore_warnings"`)},
		{Name: "service.provider", blocks: with(`provider = "consul"`)},
		{Name: "service.provider of Nomad", blocks: with(`provider = "nomad"`), Native: "Service with provider nomad cannot include Connect blocks", Refused: `provider = "nomad" has no mesh`},
		{Name: "service.task", blocks: with(`task = "app"`)},
		{Name: "service.weights", blocks: with("weights {\n passing = 3\n warning = 1\n}")},
		{Name: "service.identity", blocks: with("identity {\n aud = [\"consul.io\"]\n ttl = \"1h\"\n}")},
		{Name: "service.cluster", blocks: with(`cluster = "default"`)},
		{Name: "service.kind", blocks: with() + "service {\n name = \"edge\"\n port = \"http\"\n kind = \"api-gateway\"\n}\n"},
		{Name: "service.check_restart", blocks: with("check_restart {\n limit = 2\n grace = \"2m\"\n}", check())},
		{Name: "another service of the group", blocks: with() + "service {\n name = \"admin\"\n port = \"http\"\n}\n"},
		{Name: "another service at an address of the allocation", blocks: with() + "service {\n name = \"admin\"\n port = \"9090\"\n address_mode = \"alloc\"\n}\n"},
		{Name: "two services with sidecars", blocks: network("port \"http\" {}\nport \"admin\" {}") + with() + "service {\n name = \"admin\"\n port = \"admin\"\n" + sidecar + "}\n"},
		{Name: "upper case", blocks: "service {\n name = \"Web\"\n port = \"http\"\n" + sidecar + "}\n", Native: "must not contain uppercase characters", Refused: "Consul's mesh takes names of lower case"},
	}
}

// checkJobs have every field of check.
func checkJobs() []Job {
	return []Job{
		{Name: "check", blocks: with(check())},
		{Name: "check.port, a label", blocks: network("port \"http\" {}\nport \"health\" {}") + with(check(`port = "health"`))},
		{Name: "check.port, a label that is mapped", blocks: network("port \"health\" {\n to = 8080\n}") + number(check(`port = "health"`), sidecar)},
		{Name: "check.method, header, body", blocks: with(check(`method = "POST"`, `body = "a"`, "header {\n A = [\"b\"]\n}"))},
		{Name: "check.protocol, tls_server_name, tls_skip_verify", blocks: with(check(`protocol = "https"`, `tls_server_name = "web"`, `tls_skip_verify = true`))},
		{Name: "check.initial_status", blocks: with(check(`initial_status = "passing"`))},
		{Name: "check, the numbers of results", blocks: with(check("success_before_passing = 2", "failures_before_critical = 3", "failures_before_warning = 1"))},
		{Name: "check.on_update", blocks: with(check(`on_update = "ignore"`))},
		{Name: "check.check_restart", blocks: with(check("check_restart {\n limit = 3\n grace = \"90s\"\n ignore_warnings = true\n}"))},
		{Name: "check.address_mode, host", blocks: with(check(`address_mode = "host"`))},
		{Name: "check.address_mode, alloc", blocks: number(check(`address_mode = "alloc"`), sidecar)},
		{Name: "check.notes", blocks: with(check(`notes = "a note"`))},
		{Name: "check of gRPC", blocks: with("check {\n type = \"grpc\"\n name = \"alive\"\n grpc_service = \"web\"\n grpc_use_tls = true\n interval = \"10s\"\n timeout = \"2s\"\n}")},
		{Name: "check by a script", blocks: with("check {\n type = \"script\"\n name = \"alive\"\n task = \"app\"\n command = \"true\"\n args = [\"a\"]\n interval = \"10s\"\n timeout = \"2s\"\n}")},
		{Name: "check of TCP", blocks: with("check {\n type = \"tcp\"\n name = \"alive\"\n interval = \"10s\"\n timeout = \"2s\"\n}"), Native: "tcp checks are not valid for Connect enabled services"},
		{Name: "check.expose", blocks: number(check("expose = true"), sidecar)},
		{Name: "check.expose on a port", blocks: network("port \"health\" {\n to = -1\n}") + number(check("expose = true", `port = "health"`), sidecar)},
		{Name: "check.expose of gRPC", blocks: number("check {\n type = \"grpc\"\n name = \"alive\"\n path = \"/grpc.health.v1.Health/Check\"\n expose = true\n interval = \"10s\"\n timeout = \"2s\"\n}", sidecar)},
		{Name: "check.expose of a port that Nomad gives", blocks: with(check("expose = true")), Native: "unable to determine local service port"},
	}
}
