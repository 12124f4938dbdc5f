package envoy

import (
	"fmt"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/sidecar"
)

// A change of what a management server knows an Envoy by is pressing, whatever else has
// changed.
func TestBootstrapChange(t *testing.T) {
	t.Parallel()
	boot := func(id, token, flush string) string {
		return fmt.Sprintf(`{"node": {"id": %q}, "stats_flush_interval": %q, "dynamic_resources": {"ads_config": {"grpc_services":
			[{"initial_metadata": [{"key": "x-consul-token", "value": %q}]}]}}}`, id, flush, token)
	}
	running := boot("web", "old", "5s")
	for _, tc := range []struct {
		name, next string
		want       sidecar.Reason
	}{
		{"nothing", running + " ", sidecar.Reason{}},
		{"a setting", boot("web", "old", "7s"), sidecar.Reason{Why: "its bootstrap has changed"}},
		{"the token", boot("web", "new", "5s"), sidecar.Reason{Why: "its token has changed", Pressing: true}},
		{"the token too", boot("web", "new", "7s"), sidecar.Reason{Why: "its token has changed", Pressing: true}},
		{"the ID", boot("web2", "new", "7s"), sidecar.Reason{Why: "its ID in the mesh has changed", Pressing: true}},
		{"no node", `{}`, sidecar.Reason{Why: "its ID in the mesh has changed", Pressing: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := bootstrapChange([]byte(running), []byte(tc.next))
			must.NoError(t, err)
			must.Eq(t, tc.want, got)
		})
	}
	for _, bad := range []string{"{", "[]", ""} {
		_, err := bootstrapChange([]byte(bad), []byte(running))
		must.ErrorContains(t, err, "compare bootstraps")
		_, err = bootstrapChange([]byte(running), []byte(bad))
		must.ErrorContains(t, err, "compare bootstraps")
	}
}
