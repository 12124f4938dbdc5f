package driver

import (
	"errors"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"
	"github.com/shoenig/test/must"
)

// A node that cannot keep sockets is healthy all the same, and says what is missing.
func TestAddSockets(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err         error
		keeps, says string
	}{
		{nil, "true", "Healthy"},
		{errors.New("yama forbids it"), "false", "Healthy; yama forbids it"},
	} {
		now := &drivers.Fingerprint{Attributes: map[string]*pstructs.Attribute{}, Health: drivers.HealthStateHealthy, HealthDescription: drivers.DriverHealthy}
		p := &Plugin{sockets: func() error { return tc.err }}
		p.addSockets(now)
		must.Eq(t, tc.keeps, now.Attributes[attrKeepsSockets].GoString())
		must.Eq(t, tc.says, now.HealthDescription)
		must.Eq(t, drivers.HealthStateHealthy, now.Health)
	}
}
