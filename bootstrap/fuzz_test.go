package bootstrap

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"

	"nomad-driver-connect/e2e/parity"
)

var envoy = flag.String("envoy", "", "an Envoy that judges what fuzzing renders")

// FuzzRender_config changes two keys of Proxy.Config that are not Envoy's own
// JSON, and the environment: what comes out, Envoy takes.
func FuzzRender_config(f *testing.F) {
	keys := append(textKeys(false), keyReady)
	for _, c := range parity.All() {
		for key, value := range c.Config {
			if text, ok := value.(string); ok && !envoyJSON[key] {
				f.Add(uint8(slices.Index(keys, key)), text, uint8(0), "a=b", "127.0.0.1")
			}
		}
	}
	f.Fuzz(func(t *testing.T, key uint8, value string, other uint8, otherValue, env string) {
		in := inputs()
		in.Env = map[string]string{"HOST_IP": env, "STATSD_URL": env}
		in.Proxy.Proxy.Config = map[string]any{
			keys[int(key)%len(keys)]:   value,
			keys[int(other)%len(keys)]: otherValue,
		}
		renders(t, in)
	})
}

// textKeys are the keys that hold Envoy's own JSON, or the others.
func textKeys(json bool) []string {
	keys := slices.Sorted(maps.Keys((&proxyConfig{}).targets()))
	return slices.DeleteFunc(keys, func(key string) bool { return envoyJSON[key] != json })
}

// FuzzRender_hatch changes Envoy's own JSON. It may break rules that Envoy
// alone knows; what comes out is a bootstrap nevertheless.
func FuzzRender_hatch(f *testing.F) {
	keys := textKeys(true)
	for _, c := range parity.All() {
		for key, value := range c.Config {
			if text, ok := value.(string); ok && envoyJSON[key] {
				f.Add(uint8(slices.Index(keys, key)), text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, key uint8, text string) {
		in := inputs()
		in.Proxy.Proxy.Config = map[string]any{keys[int(key)%len(keys)]: text}
		b, err := Render(in)
		if err == nil {
			marshals(t, b)
		}
	})
}

// renders fails when what is rendered is no bootstrap for Envoy.
func renders(t *testing.T, in Inputs) {
	t.Helper()
	b, err := Render(in)
	if err != nil {
		return
	}
	text := marshals(t, b)
	if *envoy == "" {
		return
	}
	file := filepath.Join(t.TempDir(), "bootstrap.json")
	must.NoError(t, os.WriteFile(file, text, 0o600))
	cmd := exec.CommandContext(t.Context(), *envoy, "--mode", "validate", "-l", "error", "-c", file)
	cmd.Dir = filepath.Dir(file) // Envoy makes the admin API's access log
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprintf("Envoy refuses it: %s\n%s", out, text))
}

// marshals gives the JSON, which reads as the same message again.
func marshals(t *testing.T, b *bootstrapv3.Bootstrap) []byte {
	t.Helper()
	text, err := Marshal(b)
	must.NoError(t, err)
	var back bootstrapv3.Bootstrap
	must.NoError(t, readObject(string(text), &back), must.Sprintf("%s", text))
	must.True(t, proto.Equal(b, &back), must.Sprintf("the JSON is not the message: %s", text))
	return text
}
