package hook

import (
	"slices"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// The sidecars of a group, and all that know of each other.
func TestRewrite_severalServices(t *testing.T) {
	second := "service {\n name = \"web\"\n port = \"admin\"\n connect {\n" + stanza.Upstream() + "\n }\n}\n"
	job := rewrite(t, stanza.Job("network {\n port \"http\" {}\n port \"admin\" {}\n}\n"+stanza.Web(stanza.Sidecar(""))+second), Options{}).Job
	g := job.TaskGroups[0]
	must.Eq(t, 3, len(g.Tasks))
	first, other := g.Tasks[1], g.Tasks[2]
	must.Eq(t, []string{"connect-proxy-web", "connect-proxy-web-admin"}, []string{first.Name, other.Name})
	must.Eq(t, []any{"http", "admin"}, []any{first.Config["service_port"], other.Config["service_port"]})
	must.Eq(t, "127.0.0.1:9191", first.Env["NOMAD_UPSTREAM_ADDR_db"], must.Sprint("a sidecar is a task like others to the other one"))
	must.MapEmpty(t, other.Env)
	must.Eq[any](t, "connect-proxy-web-admin", other.Config["sidecar_service"].(map[string]any)["port"])
}

// Variables that a task sets itself stay.
func TestRewrite_ownVariables(t *testing.T) {
	hcl := stanza.Job(stanza.Network + stanza.Web(stanza.Upstream()) + "task \"other\" {\n driver = \"exec\"\n env {\n NOMAD_UPSTREAM_IP_db = \"mine\"\n }\n}\n")
	env := rewrite(t, hcl, Options{}).Job.TaskGroups[0].Tasks[0].Env
	must.Eq(t, map[string]string{"NOMAD_UPSTREAM_ADDR_db": "127.0.0.1:9191", "NOMAD_UPSTREAM_IP_db": "mine", "NOMAD_UPSTREAM_PORT_db": "9191"}, env)
}

// Names are those that the service has in Consul.
func TestRewrite_names(t *testing.T) {
	for name, want := range map[string]string{
		`name = "a-${JOB}-${TASKGROUP}"`:                           "a-shop-g",
		`name = "${BASE}"`:                                         "shop-g-group",
		`name = "${NOMAD_JOB_ID}-${NOMAD_GROUP_NAME}-${TASK}"`:     "shop-g-group",
		`name = "${NOMAD_JOB_NAME}-${NOMAD_NAMESPACE}-${TASK}-ok"`: "shop-default-group-ok",
		"": "shop-g",
	} {
		g := rewrite(t, stanza.Job(stanza.Network+"service {\n "+name+"\n port = \"http\"\n connect {\n sidecar_service {}\n }\n}"), Options{}).Job.TaskGroups[0]
		must.Eq(t, "connect-native:"+want, g.Tasks[1].Kind)
		must.Eq[any](t, want, g.Tasks[1].Config["service"])
		if name != "" {
			must.Eq(t, want, g.Services[0].Name)
		}
	}
}

// Ports of upstreams are those of the network where sidecars listen.
func TestRewrite_upstreamNetwork(t *testing.T) {
	for _, dynamic := range []bool{false, true} {
		result := rewrite(t, stanza.Job(stanza.Network+stanza.Web(stanza.Upstream())), Options{DynamicPorts: dynamic, UpstreamNetwork: "loopback"})
		network := result.Job.TaskGroups[0].Networks[0]
		networks := map[string]string{}
		for _, port := range slices.Concat(network.ReservedPorts, network.DynamicPorts) {
			networks[port.Label] = port.HostNetwork
		}
		must.Eq(t, "loopback", networks["connect_upstream_web_db"])
		must.Eq(t, "", networks["connect-proxy-web"], must.Sprint("peers come from elsewhere"))
	}
}
