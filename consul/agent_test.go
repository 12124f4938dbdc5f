package consul

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

func TestClient_xdsAddress(t *testing.T) {
	for _, tc := range []struct {
		name       string
		cfg        Config
		plain, tls int
		want       string
		note       string
		err        string
	}{
		{"plain only", Config{}, 8502, -1, "http://127.0.0.1:8502", "", ""},
		{"both, no CA", Config{}, 8502, 8503, "http://127.0.0.1:8502", "plain gRPC, as no CA certificate is configured for the TLS port 8503", ""},
		{"both, with a CA", Config{GRPCCAFile: "../e2e/parity/testdata/files/ca.pem"}, 8502, 8503, "https://127.0.0.1:8503", "", ""},
		{"TLS only, no CA", Config{}, -1, 8503, "", "", "serves gRPC only with TLS (port 8503); set consul { grpc_ca_file = … }"},
		{"off", Config{}, -1, -1, "", "", "has gRPC disabled"},
		{"configured", Config{GRPCAddress: "127.0.0.9:1"}, 8502, -1, "http://127.0.0.9:1", "", ""},
		{"CA missing", Config{GRPCCAFile: "/nowhere"}, -1, 8503, "", "", "read the CA certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.cfg.Address = "127.0.0.1:8500"
			c, err := New(tc.cfg)
			must.NoError(t, err)
			var self Self
			self.XDS.Ports.Plaintext, self.XDS.Ports.TLS = tc.plain, tc.tls
			agent, note, err := c.xdsAddress(self)
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
func TestClient_infoForbidden(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Permission denied", http.StatusForbidden)
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL, GRPCAddress: "127.0.0.1:4711"})
	must.NoError(t, err)
	info, err := c.Info(t.Context())
	must.NoError(t, err)
	must.Eq(t, "http://127.0.0.1:4711", info.XDS.String())
	// A dead address stands for a machine where nobody listens at the port.
	c.cfg.GRPCAddress, c.cfg.Address = "", "http://127.0.0.77:1"
	_, err = c.assumed(t.Context())
	must.ErrorContains(t, err, "nobody listens at 127.0.0.77:8502; set consul { token_file = … }")
}

// An agent is asked once for all who ask within a minute; trouble is not remembered.
func TestAgents(t *testing.T) {
	asked, broken := 0, true
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		if broken {
			http.Error(w, "no leader", http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`{"Config":{"Version":"1.22.7"},"DebugConfig":{"ConnectEnabled":true},"xDS":{"Ports":{"Plaintext":8502}}}`))
	}))
	t.Cleanup(agent.Close)
	c, err := New(Config{Address: agent.URL})
	must.NoError(t, err)
	var agents Agents
	_, err = agents.Info(t.Context(), c)
	must.ErrorContains(t, err, "answers 500: no leader")
	broken = false
	for range 3 {
		info, err := agents.Info(t.Context(), c)
		must.NoError(t, err)
		must.Eq(t, "http://127.0.0.1:8502", info.XDS.String())
	}
	must.Eq(t, 2, asked)
	_, err = agents.Refresh(t.Context(), c)
	must.NoError(t, err)
	must.Eq(t, 3, asked)
}

func TestClient_host(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:8500":             "10.0.0.1",
		"https://consul.local:8501": "consul.local",
		"http://[::1]:8500":         "::1",
		"unix:///run/consul.sock":   "127.0.0.1",
		":8500":                     "127.0.0.1",
	} {
		must.Eq(t, want, (&Client{cfg: Config{Address: address}}).host())
	}
}

func TestParseGRPCAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8502":          "http://127.0.0.1:8502",
		"http://127.0.0.1:8502":   "http://127.0.0.1:8502",
		"https://127.0.0.1:8503":  "https://127.0.0.1:8503",
		"localhost:8502":          "http://127.0.0.1:8502",
		"[::1]:8502":              "http://[::1]:8502",
		"unix:///run/consul.sock": "unix:///run/consul.sock",
	} {
		agent, err := ParseGRPCAddress(addr)
		must.NoError(t, err)
		must.Eq(t, want, agent.String())
	}
	for _, bad := range []string{"", "8502", ":8502", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1", "HTTPS://127.0.0.1:1", "unix://"} {
		_, err := ParseGRPCAddress(bad)
		var address *AddressError
		must.ErrorAs(t, err, &address)
	}
}

// The files of a directory are one bundle, in the order of their names; a file wins over a directory.
func TestReadCA(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.Mkdir(filepath.Join(dir, "b"), 0o755))
	ca, err := os.ReadFile("../e2e/parity/testdata/files/ca.pem")
	must.NoError(t, err)
	for name, content := range map[string]string{"c": "3\n", "a": "1\n", "b/x": string(ca)} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	bundle, err := ReadCA("", dir)
	must.NoError(t, err)
	must.Eq(t, "1\n"+string(ca)+"3\n", bundle)
	bundle, err = ReadCA(filepath.Join(dir, "b/x"), "/nowhere")
	must.NoError(t, err)
	must.Eq(t, string(ca), bundle)
	for _, none := range []string{t.TempDir(), filepath.Join(dir, "c")} {
		_, err = ReadCA("", none)
		must.ErrorContains(t, err, "there is none in PEM form in "+none)
	}
	_, err = ReadCA("", "/nowhere")
	must.ErrorContains(t, err, "/nowhere")
}
