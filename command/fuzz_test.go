package command

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/e2e/parity"
)

var envoy = flag.String("envoy", "", "an Envoy that judges what fuzzing renders")

// noFiles are the flags that name files, which fuzzing must not read, and
// those that go to the network.
var noFiles = []string{"http-addr", "token-file", "ca-file", "ca-path", "client-cert", "client-key", "grpc-ca-file", "grpc-ca-path", "admin-access-log-path",
	"prometheus-ca-file", "prometheus-ca-path", "prometheus-cert-file", "prometheus-key-file"}

// FuzzBootstrap_flags changes two flags and their values: what comes out,
// Envoy takes.
func FuzzBootstrap_flags(f *testing.F) {
	_, fs := newBootstrapFlags()
	var names []string
	fs.VisitAll(func(fl *flag.Flag) {
		if !slices.Contains(noFiles, fl.Name) {
			names = append(names, fl.Name)
		}
	})
	for _, c := range parity.All() {
		words := strings.Fields(c.Args)
		for i, word := range words[:max(0, len(words)-1)] {
			if name := slices.Index(names, strings.TrimLeft(word, "-")); name >= 0 {
				f.Add(uint8(name), words[i+1], uint8(0), "127.0.0.1:1")
			}
		}
	}
	f.Fuzz(func(t *testing.T, name uint8, value string, other uint8, otherValue string) {
		args := []string{
			"-" + names[int(name)%len(names)] + "=" + value,
			"-" + names[int(other)%len(names)] + "=" + otherValue,
			"-proxy-id=web-sidecar-proxy",
		}
		o, err := parseBootstrapFlags(args)
		if err != nil || resolves(o.grpcAddr) || resolves(o.adminBind) {
			return
		}
		a := answers{proxy: &api.AgentService{
			ID: "web-sidecar-proxy", Service: "web-sidecar-proxy", Kind: api.ServiceKindConnectProxy,
			Proxy: &api.AgentServiceConnectProxyConfig{DestinationServiceName: "web", Config: map[string]any{"envoy_prometheus_bind_addr": "127.0.0.1:20200"}},
		}}
		a.self.XDS.Ports.Plaintext = consul.DefaultGRPCPort
		in, err := o.inputs(a, func(string) {})
		if err != nil {
			return
		}
		text, err := render(in)
		if err != nil || *envoy == "" || o.prometheus.CertFile != "" {
			return
		}
		file := filepath.Join(t.TempDir(), "bootstrap.json")
		must.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), *envoy, "--mode", "validate", "-l", "error", "-c", file)
		cmd.Dir = filepath.Dir(file) // Envoy makes the admin API's access log
		cmd.Stdout, cmd.Stderr = &out, &out
		must.NoError(t, cmd.Run(), must.Sprintf("%q: Envoy refuses it: %s\n%s", args, out.String(), text))
	})
}

// resolves tells addresses whose host would be asked of a name server.
func resolves(address string) bool {
	if address == "" || strings.HasPrefix(address, "unix://") {
		return false
	}
	_, rest, found := strings.Cut(address, "://")
	if !found {
		rest = address
	}
	_, err := netip.ParseAddrPort(rest)
	return err != nil
}
