package hook

import (
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// null in a list of the sidecar's resources is refused: Nomad's own library falls
// over it.
func TestRewrite_nullInResources(t *testing.T) {
	t.Parallel()
	for _, resources := range []*api.Resources{
		{Networks: []*api.NetworkResource{nil}}, {Devices: []*api.RequestedDevice{nil}},
	} {
		job := parse(t, stanza.Job(stanza.Network+stanza.Web(stanza.SidecarTask("user = \"x\""))))
		job.TaskGroups[0].Services[0].Connect.SidecarTask.Resources = resources
		_, err := Rewrite(job, Options{})
		must.ErrorContains(t, err, "is null; remove it")
	}
}
