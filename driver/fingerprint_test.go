package driver

import (
	"errors"
	"testing"

	"github.com/hashicorp/nomad/plugins/drivers"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
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

// What a node cannot confine its proxies with it says; where the operator insists, it has
// none.
func TestAddConfinement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		confine           envoy.Confine
		kernel            process.Kernel
		landlock, seccomp string
		says, fails       string
	}{
		{envoy.ConfineAuto, process.Kernel{Landlock: 4, Seccomp: true}, "4", "true", "Healthy", ""},
		{envoy.ConfineRequired, process.Kernel{Landlock: 4, Seccomp: true}, "4", "true", "Healthy", ""},
		{envoy.ConfineAuto, process.Kernel{Seccomp: true}, "none", "true", "Healthy; Envoy is confined as far as this node can: the kernel has no Landlock", ""},
		{envoy.ConfineRequired, process.Kernel{Seccomp: true}, "none", "true", "Healthy", "the kernel has no Landlock"},
		{envoy.ConfineOff, process.Kernel{}, "none", "false", "Healthy", ""},
	} {
		now := &drivers.Fingerprint{Attributes: map[string]*pstructs.Attribute{}, HealthDescription: drivers.DriverHealthy}
		err := addConfinement(now, tc.confine, tc.kernel)
		if tc.fails != "" {
			must.ErrorContains(t, err, tc.fails)
		} else {
			must.NoError(t, err)
		}
		must.Eq(t, string(tc.confine), now.Attributes[attrConfine].GoString())
		must.Eq(t, tc.landlock, now.Attributes[attrLandlock].GoString())
		must.Eq(t, tc.seccomp, now.Attributes[attrSeccomp].GoString())
		must.StrHasPrefix(t, tc.says, now.HealthDescription)
	}
}
