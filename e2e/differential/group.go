package differential

// networkJobs have every field of network.
func networkJobs() []Job {
	return []Job{
		{Name: "port.static", blocks: network("port \"http\" {\n static = 8080\n}") + with()},
		{Name: "port.to", blocks: network("port \"http\" {\n to = 8080\n}") + with()},
		{Name: "port.to, -1", blocks: network("port \"http\" {\n to = -1\n}") + with()},
		{Name: "port.to, its own static port", blocks: network("port \"http\" {\n static = 8080\n to = 8080\n}") + with()},
		{Name: "port.to, another than the static port", blocks: network("port \"http\" {\n static = 80\n to = 8080\n}") + with(), Refused: "nothing maps ports on the host network"},
		{Name: "port.to of a port that nobody names", blocks: network("port \"http\" {}\nport \"admin\" {\n to = 9000\n}") + with()},
		{Name: "port.host_network", blocks: network("port \"http\" {\n host_network = \"loopback\"\n}") + with()},
		{Name: "port.ignore_collision", blocks: network("port \"http\" {\n static = 8080\n ignore_collision = true\n}") + with(), Native: "collision may not be ignored on non-host network mode"},
		{Name: "network.dns", blocks: network("port \"http\" {}\n dns {\n servers = [\"127.0.0.53\"]\n searches = [\"a\"]\n options = [\"ndots:2\"]\n}") + with()},
		{Name: "network.cni", blocks: network("port \"http\" {}\n cni {\n args = {\n a = \"b\"\n }\n}") + with()},
		{Name: "network.hostname", blocks: network("hostname = \"web\"\n port \"http\" {}") + with()},
		{Name: "two networks", blocks: network("port \"http\" {}") + network("port \"admin\" {}") + with(), Native: "must have exactly one network", Refused: "the group has 2 network blocks"},
	}
}

// groupJobs have every field of update, and what else a group says of how its
// tasks run.
func groupJobs() []Job {
	return []Job{
		{Name: "update", blocks: "count = 3\n update {\n max_parallel = 2\n health_check = \"task_states\"\n min_healthy_time = \"3s\"\n healthy_deadline = \"1m\"\n progress_deadline = \"2m\"\n auto_revert = true\n auto_promote = true\n canary = 1\n stagger = \"10s\"\n}\n" + with()},
		{Name: "update of the job", job: "update {\n max_parallel = 2\n health_check = \"manual\"\n}", blocks: with()},
		{Name: "restart", blocks: "restart {\n attempts = 7\n interval = \"1m\"\n delay = \"3s\"\n mode = \"delay\"\n render_templates = true\n}\n" + with()},
		{Name: "reschedule", blocks: "reschedule {\n delay = \"30s\"\n delay_function = \"constant\"\n unlimited = true\n}\n" + with()},
		{Name: "disconnect", blocks: "disconnect {\n lost_after = \"1h\"\n replace = false\n reconcile = \"keep_original\"\n}\n" + with()},
		{Name: "migrate, shutdown_delay, ephemeral_disk", blocks: "shutdown_delay = \"5s\"\n migrate {\n max_parallel = 2\n}\n ephemeral_disk {\n size = 500\n sticky = true\n migrate = true\n}\n" + with()},
		{Name: "constraint, affinity, spread", blocks: "constraint {\n attribute = \"${attr.kernel.name}\"\n value = \"linux\"\n}\n affinity {\n attribute = \"${node.datacenter}\"\n value = \"dc1\"\n}\n spread {\n attribute = \"${node.datacenter}\"\n}\n" + with()},
		{Name: "scaling", blocks: "scaling {\n min = 1\n max = 3\n}\n" + with()},
		{Name: "consul", blocks: "consul {\n cluster = \"default\"\n}\n" + with()},
		{Name: "other tasks", blocks: "task \"before\" {\n driver = \"exec\"\n lifecycle {\n hook = \"prestart\"\n }\n env {\n A = \"${NOMAD_UPSTREAM_ADDR_db}\"\n }\n}\n" + upstream()},
		{Name: "a podman task", blocks: "task \"other\" {\n driver = \"podman\"\n config {\n image = \"a\"\n }\n}\n" + with()},
		{Name: "a system job", job: `type = "system"`, blocks: number(sidecar)},
		{Name: "a batch job", job: `type = "batch"`, blocks: with()},
	}
}
