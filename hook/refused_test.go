package hook

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

func TestRewrite_refused(t *testing.T) {
	for _, tc := range stanza.Refusals() {
		t.Run(tc.Name, func(t *testing.T) {
			job := parse(t, stanza.Job(tc.Group))
			before := encode(t, job)
			_, err := Rewrite(job, Options{})
			must.ErrorContains(t, err, tc.Error)
			must.Eq(t, before, encode(t, job))
		})
	}
}

// All that is wrong is told at once.
func TestRewrite_refusedTogether(t *testing.T) {
	_, err := Rewrite(parse(t, stanza.Job(stanza.Network+stanza.Web(stanza.Proxy("transparent_proxy {}"))+"service {\n name = \"Up\"\n connect {\n sidecar_service {}\n }\n}")), Options{})
	must.ErrorContains(t, err, `service "Up": Consul's mesh takes`)
	must.ErrorContains(t, err, `service "web": transparent_proxy`)
}

// Groups in bridge or cni mode, and those without Connect, are not looked at.
func TestRewrite_left(t *testing.T) {
	for _, group := range []string{
		"network {\n mode = \"bridge\"\n}\n" + stanza.Web(stanza.Proxy("transparent_proxy {}")),
		"network {\n mode = \"cni/mine\"\n}\n" + stanza.Web(stanza.SidecarTask("config {\n image = \"envoy\"\n}")),
		"service {\n name = \"Any_thing\"\n port = \"8080\"\n address_mode = \"alloc\"\n}",
		"network {\n mode = \"host\"\n}\nnetwork {\n mode = \"host\"\n}",
	} {
		job := parse(t, stanza.Job(group))
		result, err := Rewrite(job, Options{})
		must.NoError(t, err)
		must.Eq(t, encode(t, job), encode(t, result.Job))
	}
}
