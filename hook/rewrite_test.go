package hook

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/nomad/api"
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

// Names take what is in the meta of the job and the group, as Nomad's server fills
// it in.
func TestRewrite_namesOfMeta(t *testing.T) {
	const job = `job "shop" {
  meta {
    env      = "prod"
    Tier-One = "front"
    of       = "${NOMAD_JOB_NAME}"
  }
  group "g" {
    meta {
      env = "test"
    }
    network {
      port "http" {}
    }
    service {
      name = "%s"
      port = "http"
      connect {
        sidecar_service {}
      }
    }
    task "app" {
      driver = "raw_exec"
    }
  }
}`
	for name, want := range map[string]string{
		"web-${NOMAD_META_env}":      "web-test",
		"web-${NOMAD_META_ENV}":      "web-test",
		"web-${NOMAD_META_Tier_One}": "web-front",
		"web-${NOMAD_META_TIER_ONE}": "web-front",
		"web-${NOMAD_META_of}":       "web-shop",
	} {
		g := rewrite(t, fmt.Sprintf(job, name), Options{}).Job.TaskGroups[0]
		must.Eq(t, want, g.Services[0].Name)
		must.Eq(t, "connect-native:"+want, g.Tasks[1].Kind)
	}
	_, err := Rewrite(parse(t, fmt.Sprintf(job, "web-${NOMAD_META_none}")), Options{})
	must.ErrorContains(t, err, "the name is not known before the job runs")
}

// A check reaches the app by a port that Nomad fills in, whatever the label.
func TestRewrite_exposedLabel(t *testing.T) {
	g := rewrite(t, stanza.Job("network {\n port \"my-http\" {}\n}\nservice {\n name = \"web\"\n port = \"my-http\"\n connect {\n sidecar_service {}\n }\n check {\n type = \"http\"\n path = \"/\"\n expose = true\n interval = \"10s\"\n timeout = \"1s\"\n }\n}"), Options{}).Job.TaskGroups[0]
	paths := g.Tasks[1].Config["sidecar_service"].(map[string]any)["proxy"].(map[string]any)["expose"].(map[string]any)["path"].([]any)
	must.Eq[any](t, "${NOMAD_PORT_my_http}", paths[0].(map[string]any)["local_path_port"])
}

// A job's own word on distinct_hosts holds.
func TestRewrite_distinctHosts(t *testing.T) {
	static := "network {\n port \"http\" {\n static = 8080\n }\n}\n" + stanza.Web(stanza.Sidecar(""))
	own := "constraint {\n operator = \"distinct_hosts\"\n value = \"%s\"\n}\n"
	for _, value := range []string{"true", "false"} {
		result := rewrite(t, stanza.Job(fmt.Sprintf(own, value)+static), Options{})
		must.Len(t, 1, result.Job.TaskGroups[0].Constraints)
	}
	job := parse(t, stanza.Job(static))
	job.Constraints = append(job.Constraints, api.NewConstraint("", api.ConstraintDistinctHosts, ""))
	result, err := Rewrite(job, Options{})
	must.NoError(t, err)
	must.Len(t, 0, result.Job.TaskGroups[0].Constraints)
	job.Constraints[0].RTarget = "false"
	result, err = Rewrite(job, Options{})
	must.NoError(t, err)
	must.Len(t, 1, result.Job.TaskGroups[0].Constraints)
}

// A container that has a network of its own has its ports mapped by its driver, on
// the host network, too.
func TestRewrite_mapped(t *testing.T) {
	for config, to := range map[string]int{"": 5432, "network_mode = \"host\"": 0} {
		db := "service {\n name = \"db\"\n port = \"db\"\n}\ntask \"db\" {\n driver = \"docker\"\n config {\n image = \"db\"\n ports = [\"db\"]\n" + config + "\n }\n}\n"
		network := rewrite(t, stanza.Job("network {\n port \"http\" {}\n port \"db\" {\n to = 5432\n }\n}\n"+stanza.Web(stanza.Sidecar(""))+db), Options{}).Job.TaskGroups[0].Networks[0]
		for _, port := range slices.Concat(network.ReservedPorts, network.DynamicPorts) {
			if port.Label == "db" {
				must.Eq(t, api.Port{Label: "db", To: to, Value: 5432 - to}, port)
			}
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
