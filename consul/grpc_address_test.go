package consul

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestSelf_GRPCPort(t *testing.T) {
	none, off, old := (*int)(nil), -1, 8600
	unset := 0
	for _, tc := range []struct {
		name       string
		plain, tls int
		legacy     *int
		preferTLS  bool
		want       string
		guessed    bool
	}{
		{"both, the command's choice", 8502, 8503, none, true, "https://host:8503", false},
		{"both, the driver's choice", 8502, 8503, none, false, "http://host:8502", false},
		{"plain alone", 8502, -1, none, true, "http://host:8502", false},
		{"TLS alone", -1, 8503, none, false, "https://host:8503", false},
		{"before Consul 1.14", 0, 0, &old, true, "http://host:8600", false},
		{"before Consul 1.14, not told", 0, 0, &unset, true, "http://host:8502", true},
		{"off", -1, -1, &off, true, "", false},
		{"not told at all", 0, 0, none, false, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var self Self
			self.XDS.Ports.Plaintext, self.XDS.Ports.TLS, self.DebugConfig.GRPCPort = tc.plain, tc.tls, tc.legacy
			port, err := self.GRPCPort(tc.preferTLS)
			if tc.want == "" {
				must.ErrorIs(t, err, ErrNoGRPC)
				return
			}
			must.NoError(t, err)
			must.Eq(t, tc.want, port.At("host"))
			must.Eq(t, tc.guessed, port.Guessed)
		})
	}
}
