package bootstrap

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestParseExternal(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       External // without its content
	}{
		{
			"as the consul command writes it",
			`{"admin": {"access_log_path": "/dev/null", "address": {"socket_address": {"address": "127.0.0.2", "port_value": 19001}}},
			  "node": {"cluster": "web", "id": "_nomad-task-a1-group-g-web-http-sidecar-proxy"},
			  "dynamic_resources": {"lds_config": {"ads": {}}, "cds_config": {"ads": {}}, "ads_config": {"api_type": "DELTA_GRPC"}}}`,
			External{
				NodeID: "_nomad-task-a1-group-g-web-http-sidecar-proxy",
				Admin:  AdminAddress{"tcp", "127.0.0.2:19001"}, Stream: true, Clusters: true, Listeners: true,
			},
		},
		{"YAML without an admin API", "node: {id: front}\nstatic_resources: {}\n", External{NodeID: "front", Admin: AdminAddress{"unix", "admin.sock"}}},
		{"an admin API without an address", `{"admin": {"ignore_global_conn_limit": true}}`, External{Admin: AdminAddress{"unix", "admin.sock"}}},
		{
			"the names of JSON's own", `{"admin": {"address": {"socketAddress": {"address": "::1", "portValue": 9901}}}, "dynamicResources": {"cdsConfig": {}}}`,
			External{Admin: AdminAddress{"tcp", "[::1]:9901"}, Clusters: true},
		},
		{"our socket", `{"admin": {"address": {"pipe": {"path": "admin.sock"}}}}`, External{Admin: AdminAddress{"unix", "admin.sock"}}},
		{"another socket", `{"admin": {"address": {"pipe": {"path": "/run/docker.sock"}}}}`, External{Admin: AdminAddress{"unix", "admin.sock"}, Socket: "/run/docker.sock"}},
		{"an abstract socket", `{"admin": {"address": {"pipe": {"path": "@a"}}}}`, External{Admin: AdminAddress{"unix", "admin.sock"}, Socket: "@a"}},
		{"another socket beside", `{"admin": {"address": {"pipe": {"path": "x"}}}, "admin": {"address": {"pipe": {"path": "y"}}}}`, External{Admin: AdminAddress{"unix", "admin.sock"}, Socket: "y"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseExternal([]byte(tc.text), "admin.sock")
			must.NoError(t, err)
			again, err := ParseExternal(got.Content, "admin.sock")
			must.NoError(t, err)
			must.Eq(t, got.Admin, again.Admin, must.Sprint("it has an admin API now"))
			must.Eq(t, got.Content, again.Content)
			must.StrNotContains(t, string(got.Content), "docker.sock")
			must.Eq(t, strings.Contains(tc.text, "ignore_global"), strings.Contains(string(got.Content), "ignore_global"))
			got.Content = nil
			must.Eq(t, tc.want, got)
		})
	}
}

func TestParseExternal_wrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "it is no object",
		"- a":                                   "it is no object",
		"{\"secret\": ":                         "it is neither JSON nor YAML",
		`{"node": "secret"}`:                    "its node is no object",
		`{"admin": ["secret"]}`:                 "its admin is no object",
		`{"admin": {"address": {"secret": 1}}}`: "its admin.address is no address",
		`{"admin": {"address": {"socket_address": {"address": "::1", "port_value": 0}}}}`: "the admin API could not be found",
		`{"dynamic_resources": "secret"}`:                                                 "its dynamic_resources is no object",
	} {
		_, err := ParseExternal([]byte(text), "admin.sock")
		must.ErrorContains(t, err, want)
		must.StrNotContains(t, err.Error(), "secret")
	}
}
