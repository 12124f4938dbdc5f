package sidecar

import (
	"net/http"
	"testing"

	"github.com/shoenig/test/must"
)

func TestConsul_xdsAddress(t *testing.T) {
	for _, tc := range []struct {
		name       string
		cfg        ConsulConfig
		plain, tls int
		want       string
		note       string
		err        string
	}{
		{"plain only", ConsulConfig{}, 8502, -1, "http://127.0.0.1:8502", "", ""},
		{"both, no CA", ConsulConfig{}, 8502, 8503, "http://127.0.0.1:8502", "plain gRPC, as no CA certificate is configured for the TLS port 8503", ""},
		{"both, with a CA", ConsulConfig{GRPCCAFile: "../bootstrap/testdata/ca.pem"}, 8502, 8503, "https://127.0.0.1:8503", "", ""},
		{"TLS only, no CA", ConsulConfig{}, -1, 8503, "", "", "serves gRPC only with TLS (port 8503); set consul { grpc_ca_file = … }"},
		{"off", ConsulConfig{}, -1, -1, "", "", "has gRPC disabled"},
		{"configured", ConsulConfig{GRPCAddress: "127.0.0.9:1"}, 8502, -1, "http://127.0.0.9:1", "", ""},
		{"CA missing", ConsulConfig{GRPCCAFile: "/nowhere"}, -1, 8503, "", "", "read the CA certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Address = "127.0.0.1:8500"
			c, err := NewConsul(tc.cfg)
			must.NoError(t, err)
			agent, note, err := c.xdsAddress(tc.plain, tc.tls)
			if tc.err != "" {
				must.ErrorContains(t, err, tc.err)
				return
			}
			must.NoError(t, err)
			must.Eq(t, tc.want, agent.String())
			must.Eq(t, tc.note, note)
		})
	}
}

// An agent that does not tell who it is, for want of a token, is asked no more
// than whether somebody listens at the usual port.
func TestConsul_infoForbidden(t *testing.T) {
	fake := startFakeConsul(t)
	fake.refusal = http.StatusForbidden
	fake.fail("GET /v1/agent/self")
	c, err := NewConsul(ConsulConfig{Address: fake.URL, GRPCAddress: "127.0.0.1:4711"})
	must.NoError(t, err)
	info, err := c.Info(t.Context())
	must.NoError(t, err)
	must.Eq(t, "http://127.0.0.1:4711", info.XDS.String())
	// A dead address stands for a machine where nobody listens at the port.
	c.cfg.GRPCAddress, c.cfg.Address = "", "http://127.0.0.77:1"
	_, err = c.assumed(t.Context())
	must.ErrorContains(t, err, "nobody listens at 127.0.0.77:8502; set consul { token_file = … }")
}

func TestConsul_host(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:8500":             "10.0.0.1",
		"https://consul.local:8501": "consul.local",
		"http://[::1]:8500":         "::1",
		"unix:///run/consul.sock":   "127.0.0.1",
		":8500":                     "127.0.0.1",
	} {
		must.Eq(t, want, (&Consul{cfg: ConsulConfig{Address: address}}).host())
	}
}
