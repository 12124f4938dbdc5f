// Package hook rewrites jobs that use Nomad's own connect blocks, so that they
// run on host networking with this driver:
//
//	HCL or JSON ─ Parse ─▶ api.Job ─ Rewrite ─▶ api.Job ─ Encode ─▶ JSON
//
// Rewrite is pure, and its result has no connect block with a sidecar any more:
// a second pass changes nothing. It goes group by group (group.go): services
// become those of the host network (service.go, expose.go), then everything that
// listens gets a port (listeners.go, mapping.go, ports.go), then every sidecar
// its task (sidecar.go, with what sidecar_task.go puts over it), then the task its
// config (proxy.go, upstreams.go, upstream_config.go), and the apps their
// variables (env.go). Instances that would meet are kept apart (apart.go).
//
// What Nomad's server makes of the same job in bridge mode is the measure:
// docs/hook-differences.md has every difference, with its reason.
//
// # Which groups
//
//	network mode           what happens
//	host, none given       rewritten; mode = "host" is written out
//	no network block       rewritten; gets network { mode = "host" }
//	bridge, cni/*          left to Nomad, whose own Connect does them
//	none, or two blocks    refused
//
// A job with Connect and more parts than it would be rewritten in seconds is refused
// (size.go).
//
// A kind = "connect-…" in a group without a network block is refused whether or
// not the group has a connect block: it ends Nomad's client.
//
// # What becomes of the connect block
//
//	native                 stays: there is no proxy
//	gateway                stays, as Nomad tells Consul of gateways and takes them on the
//	                       host network; its sidecar_task becomes driver = "connect" with
//	                       bootstrap { path = "${NOMAD_SECRETS_DIR}/envoy_bootstrap.json" }
//	sidecar_service        becomes task connect-proxy-<service>, and the block goes
//	 .port                 the label, which is added when the group has none of that name;
//	                       without it connect-proxy-<service>, the job's own port or a dynamic one
//	 .tags .meta           pass; so does .disable_default_tcp_check
//	proxy
//	 .local_service_*      pass; see below for what they are by default
//	 .config               passes but for bind_port, which Nomad sets by itself, too. Where Envoy
//	                       listens (metrics, statistics, extra listeners) on a number that is
//	                       the to of a port, it listens on that port, and on a new one where the
//	                       group has none. A number that the group speaks of elsewhere is
//	                       reserved instead
//	 .expose               passes; listener_port is the label that it is, of a port of the group
//	 .transparent_proxy    refused: the host network is everybody's
//	upstreams
//	 .destination_*        pass; so do .datacenter and .mesh_gateway
//	 .local_bind_port      a static port connect_upstream_<service>_<destination>, so that
//	                       the scheduler knows; a static port of the group of that number is
//	                       taken if no service speaks of it. With DynamicPorts, or when
//	                       there is no number, a dynamic port; either of UpstreamNetwork, if given
//	 .local_bind_address   passes; 127.0.0.1 by default
//	 .local_bind_socket_*  pass; there is no port then, and no variable
//	 .config               passes when the driver knows its keys, else it is refused
//	(node_meta)            the task has what the node's meta says of log level and threads, as
//	                       Nomad's own has
//	sidecar_task           goes over the task field by field; what it leaves out of resources and
//	                       logs is as Nomad has it, and a kill_timeout of 5s, Nomad's own, is none.
//	                       With another driver its config is left out (a warning says so), as is
//	                       one without a driver and without a key of this driver's, which is
//	                       Docker's then. Else the config has keys of this driver; bootstrap {},
//	                       which bridge mode wants there, goes. Of a user and of what else the
//	                       operator must have opened to jobs a warning tells
//
// Every task but the sidecar itself gets NOMAD_UPSTREAM_{ADDR,IP,PORT}_<destination>
// unless it sets them. What its other variables take from them is written out:
// Nomad resolves them in any order.
//
// # What things mean on the host network
//
//	service.port = "8080"  the app listens on 8080: local_service_port, and a static port
//	                       connect-service-<service> for the scheduler unless there is one.
//	                       local_service_port goes before it
//	no service.port        the service cannot be reached: its sidecar is that of a client alone
//	                       (standalone = true), unless there is a local_service_port
//	to of a port           of every port of the group, whoever names it: the app listens there and
//	                       nothing maps ports, so it becomes the static port; -1 means nothing.
//	                       Where the sidecar listens, it goes. Beside another static port, or
//	                       with the number of another, it is refused if a service or check
//	                       is on the port, and left otherwise. It is also left where a container
//	                       with a network of its own has the port mapped by its driver
//	address_mode = "alloc" becomes "auto", for all services of the group and their checks: the
//	                       allocation has no address of its own. A number as port is reserved
//	check.expose           becomes an exposed path on the check's port, or on a dynamic port
//	                       connect_check_<service>, so that the app may be on loopback; of what
//	                       is no HTTP it goes, and Consul's agent reaches the app
//	static ports           two instances land on two nodes, by the constraint distinct_hosts, too,
//	                       as Nomad gives a static port once for each address of a node. A job's
//	                       own distinct_hosts holds
//	host_network           stays. The proxy finds the app at 127.0.0.1 as behind Nomad's own
//	                       sidecars, but on another host network than default and loopback at
//	                       the address of that. Upstreams need none: they are on 127.0.0.1
//	                       without it, so no client needs host_network "loopback"
//
// Texts of the block stay texts: Nomad's client reads a task's config as
// templates, so %{ and a ${ that begins no variable are escaped (template.go).
//
// Service names must be known when the job is submitted, as Nomad has it; they
// are written out, since Nomad finds the sidecar's token by the name. The meta of
// the job and of the group is known then (NOMAD_META_<key>). Two
// services of a name are told apart by their ports (service_port).
//
// # What is said of it
//
// Refusals are errors; what will not do as the author expects is a Finding with a
// stable code. check.go compares the job as it is written with the job as it will
// run, a file for each subject: check_network.go, check_placement.go,
// check_groups.go, check_lifecycle.go. Check is that without a job that comes out;
// Locate adds the lines of the file (lines.go). docs/check.md has every code.
package hook
