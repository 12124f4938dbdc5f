package driver

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// A socket that is opened to a group has a directory of its own, and a mode that lets the
// group in.
func TestTaskSpec_socketGroups(t *testing.T) {
	t.Parallel()
	spec, err := specFrom(t, taskOnHost(), sidecarHCL(`
	local_service_socket_path  = "/data/alloc/a1/alloc/tmp/app/web.sock"
	local_service_socket_group = "1234"
	upstreams {
	  destination_name        = "db"
	  local_bind_socket_path  = "/data/alloc/a1/alloc/tmp/mesh/db.sock"
	  local_bind_socket_group = "1234"
	}
	upstreams {
	  destination_name        = "queue"
	  local_bind_socket_path  = "/data/alloc/a1/alloc/tmp/mesh/queue.sock"
	  local_bind_socket_group = "1234"
	  local_bind_socket_mode  = "0666"
	}`))
	must.NoError(t, err)
	must.Eq(t, []sidecar.SocketDir{
		{Field: "sidecar_service.proxy.local_service_socket_path", Path: "/data/alloc/a1/alloc/tmp/app", Group: 1234, GroupName: "1234", Filled: true},
		{Field: "sidecar_service.proxy.upstreams[0].local_bind_socket_path", Path: "/data/alloc/a1/alloc/tmp/mesh", Group: 1234, GroupName: "1234"},
	}, spec.Life.Run.Sockets)
	must.Eq(t, []api.Upstream{
		{DestinationName: "db", LocalBindSocketPath: "../../../alloc/tmp/mesh/db.sock", LocalBindSocketMode: "0660"},
		{DestinationName: "queue", LocalBindSocketPath: "../../../alloc/tmp/mesh/queue.sock", LocalBindSocketMode: "0666"},
	}, spec.Own.Proxy.Upstreams)
	must.Eq(t, "../../../alloc/tmp/app/web.sock", spec.Own.Proxy.LocalServiceSocketPath)
}

func TestTaskSpec_socketGroupMistakes(t *testing.T) {
	t.Parallel()
	upstream := func(path, group string) string {
		return "upstreams {\n destination_name = \"db\"\n local_bind_socket_path = \"" + path + "\"\n local_bind_socket_group = \"" + group + "\"\n}\n"
	}
	const inTmp, inMesh = "/data/alloc/a1/web.sock", "/data/alloc/a1/alloc/mesh/db.sock"
	for _, tc := range []struct{ name, proxy, want string }{
		{"outside", upstream("/run/db.sock", "1234"), `upstreams[0].local_bind_socket_path: "/run/db.sock" is not in a directory of its own below the allocation's`},
		{"out by dots", upstream("/data/alloc/a1/../a2/x/db.sock", "1234"), "is not in a directory of its own below the allocation's"},
		{"in the allocation's own", upstream(inTmp, "1234"), "is not in a directory of its own"},
		{"unknown", upstream(inMesh, "no-such-group"), `upstreams[0].local_bind_socket_group: "no-such-group" is not a group of this machine`},
		{"root", upstream(inMesh, "root"), `"root" is root's group`},
		{"root by number", upstream(inMesh, "0"), `"0" is root's group`},
		{"negative", upstream(inMesh, "-1"), `"-1" is not a group`},
		{"without a path", "upstreams {\n destination_name = \"db\"\n local_bind_port = 1\n local_bind_socket_group = \"1\"\n}", "local_bind_socket_group: goes only with local_bind_socket_path"},
		{"service without a path", `local_service_socket_group = "1"`, "sidecar_service.proxy.local_service_socket_group: goes only with a socket's path"},
		{"two groups", upstream(inMesh, "1") + upstream("/data/alloc/a1/alloc/mesh/x.sock", "2"), "/data/alloc/a1/alloc/mesh is the directory of sidecar_service.proxy.upstreams[0].local_bind_socket_path already, which is opened to the group 1 in another way"},
		{"both directions", upstream(inMesh, "1") + "local_service_socket_path = \"/data/alloc/a1/alloc/mesh/app.sock\"\n local_service_socket_group = \"1\"", "in another way"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := specFrom(t, taskOnHost(), sidecarHCL(tc.proxy))
			must.ErrorContains(t, err, tc.want)
			var invalid *sidecar.InvalidError
			must.ErrorAs(t, err, &invalid)
		})
	}
}
