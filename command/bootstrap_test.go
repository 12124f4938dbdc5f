package command

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3" // in a case
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"      // in cases
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"   // in a case
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"nomad-driver-connect/e2e/parity"
)

// TestBootstrap_golden runs every case on what real agents answered to it. The
// end-to-end tests run the same cases on those agents, hold them against
// `consul connect envoy -bootstrap`, and record anew with -update.
func TestBootstrap_golden(t *testing.T) {
	data, err := filepath.Abs("../e2e/parity/testdata")
	must.NoError(t, err)
	for _, c := range parity.All() {
		if c.Live {
			continue
		}
		t.Run(c.Slug(), func(t *testing.T) {
			golden, want, err := parity.Load(data, c)
			must.NoError(t, err)
			consul := parity.Replay(golden.Replies)
			defer consul.Close()
			t.Chdir(filepath.Join(data, "files"))
			for _, entry := range append([]string{"CONSUL_HTTP_ADDR=" + consul.URL}, c.Env...) {
				name, value, _ := strings.Cut(entry, "=")
				t.Setenv(name, value)
			}
			var stdout, stderr bytes.Buffer
			status := Run(append([]string{"bootstrap"}, strings.Fields(c.Args)...), "0.0.0", &stdout, &stderr)
			must.StrContains(t, stderr.String(), c.Error)
			if c.Error != "" {
				must.Eq(t, 1, status)
				must.Eq(t, "", stdout.String())
				return
			}
			must.Eq(t, 0, status, must.Sprint(stderr.String()))
			var wantMessage, message bootstrapv3.Bootstrap
			must.NoError(t, protojson.Unmarshal(want, &wantMessage))
			must.NoError(t, protojson.Unmarshal(stdout.Bytes(), &message))
			must.True(t, proto.Equal(&wantMessage, &message), must.Sprintf("the golden file has\n%s\nwe print\n%s", want, stdout.String()))
		})
	}
}
