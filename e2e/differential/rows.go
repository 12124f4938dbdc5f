package differential

const (
	onClient = "made by Nomad's client from the connect block, which is not there any more"
	byDriver = "the driver registers the sidecar, and so has in its config what the connect block says"
	netns    = "nothing maps ports on the host network"
	known    = "the scheduler must know of every number that something listens on, as all share the host's ports"
	drains   = "the driver drains by itself when it is stopped, within kill_timeout"
)

// Table has every difference, with its reason. The first row that matches counts.
func Table() []Difference {
	const (
		group   = "TaskGroups[g]."
		task    = group + "Tasks[*]."
		service = group + "Services[*]."
		there   = "there"
	)
	return []Difference{
		{group + "Networks.Mode", "bridge", "host", "what this is about"},
		{group + "Constraints[${attr.plugins.cni.version.*} semver >= 0.4.0]", there, "-", "no CNI plugins on the host network"},
		{group + "Constraints[distinct_hosts true]", "-", there, "static ports keep instances apart, also on a node with several addresses, of which Nomad gives each the port once"},

		{task + "Driver", "*", "connect", "who runs the sidecar or gateway"},
		{task + "Kind", "connect-proxy:*", "connect-native:*", "Nomad gives the task the service's token, and leaves the registration to the driver"},
		{task + "Constraints[${attr.consul.*} *]", there, "-", "asked of nodes on which Nomad registers sidecars"},
		{task + "Constraints[${attr.driver.connect.*.version} is_set]", "-", there, "nodes that have the driver, Envoy and Consul"},
		{task + "Config.args[*]", "*", "-", "how Nomad's own task starts Envoy"},
		{task + "Config.image", "*", "-", "a container's"},
		{task + "Config.command", "*", "-", "another driver's"},
		{task + "Config.node_meta.*", "-", "${meta.connect.*}", "what the node's meta says of proxies, which Nomad's own task has in its arguments"},
		{task + "Config.service", "-", "*", byDriver},
		{task + "Config.bootstrap.path", "-", "*", "a gateway's bootstrap is Nomad's, and the driver runs it"},
		{task + "KillTimeout", "5000000000", "10000000000", "time to drain"},
		{task + "ShutdownDelay", "5000000000", "-", drains},
		{task + "Env.NOMAD_UPSTREAM_*", "-", "*", onClient},
		{task + "Env.*", "*${NOMAD_UPSTREAM_*", "*", onClient},

		{service + "Connect.SidecarTask.*", "-", "*", "by it the driver runs the gateway"},
		{service + "Connect.Gateway.Proxy.EnvoyGateway*", "*", "-", "where a gateway listens in a network of its own"},
		{service + "AddressMode", "alloc", "auto", "the allocation has no address of its own"},
		{service + "Checks[*].AddressMode", "alloc", "-", "the allocation has no address of its own"},
		{service + "Checks[*].Expose", "true", "-", "the hook makes the exposed path that Nomad makes of it in bridge mode, and Nomad makes none on the host"},
		{service + "Checks[*].PortLabel", "svc_*_ck_*", "connect_check_*", "another name for the port of an exposed check"},

		{"sidecar[*].port", "-", "connect-proxy-*", "the label that Nomad takes by itself is written out"},
		{"sidecar[*].standalone", "-", "true", "a service without a port cannot be reached: its sidecar is a client's"},
		{"sidecar[*].proxy.local_service_address", "-", "127.0.0.1", "the app is on the host's loopback as it was on the allocation's, and not on the address of the service's port"},
		{"sidecar[*].proxy.local_service_port", "-", "*", "a number as service.port is where the app listens"},
		{"sidecar[*].proxy.config.bind_port", "*", "-", "it comes from sidecar_service.port in both ways, whatever a job says"},
		{"sidecar[*].proxy.config.envoy_*", "*:*", "*:${NOMAD_PORT_*}", "a number is one sidecar's on the host network; so it is one that Nomad gives"},
		{"sidecar[*].proxy.expose.path[*].listener_port", "svc_*_ck_*", "connect_check_*", "another name for the port of an exposed check"},
		{"sidecar[*].proxy.expose.path[*].protocol", "-", "http2", "a check of gRPC is one of HTTP/2; natively it fails unless the job says so"},
		{"sidecar[*].proxy.upstreams[*].local_bind_address", "-", "127.0.0.1", "the default is written out, as a port of another host network has another address"},
		{"sidecar[*].proxy.upstreams[*].local_bind_port", "*", "-", known},
		{"sidecar[*].proxy.upstreams[*].port", "-", "connect_upstream_*", known},

		{"port[*].to", "*", "-", netns},
		{"port[*].static", "-", "*", known},
		{"port[connect*].host_network", "-", "default", "Nomad writes the default out"},
		{"port[connect_check_*]", "-", there, "another name for the port of an exposed check"},
		{"port[svc_*_ck_*]*", "*", "-", "another name for the port of an exposed check"},
		{"port[connect*]", "-", there, known},
	}
}
