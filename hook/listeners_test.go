package hook

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// Whatever says the number of a listener leads to it still: the number stays, and is
// reserved.
func TestRewrite_listenerSpokenOf(t *testing.T) {
	t.Parallel()
	const config = "config {\n envoy_prometheus_bind_addr = \"0.0.0.0:9102\"\n }\n"
	for _, sidecar := range []string{
		"meta {\n scrape = \"9102\"\n }\n", "tags = [\"scrape=:9102\"]\n",
	} {
		group := rewrite(t, stanza.Job(stanza.Network+stanza.Web(stanza.Sidecar(sidecar+"proxy {\n"+config+"}"))), Options{}).Job.TaskGroups[0]
		block := group.Tasks[len(group.Tasks)-1].Config["sidecar_service"].(map[string]any)
		must.Eq(t, any(map[string]any{"envoy_prometheus_bind_addr": "0.0.0.0:9102"}), block["proxy"].(map[string]any)["config"], must.Sprint(sidecar))
		must.Eq(t, 9102, group.Networks[0].ReservedPorts[0].Value)
	}
}
