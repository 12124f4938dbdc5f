package bootstrap

import (
	"testing"

	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"
)

// A memory limit adds an overload manager, where it can be of use, and nothing
// else; the user's own stays as it is.
func TestRender_memoryLimit(t *testing.T) {
	const own = `{"node": {"id": "x"}, "overload_manager": {"refresh_interval": "1s", "resource_monitors": {"name": "mine"}}}`
	for _, tc := range []struct {
		name     string
		limit    uint64
		template string
		heap     uint64 // 0: no overload manager of ours
	}{
		{"none", 0, "", 0},
		{"too little to be of use", 32<<20 - 1, "", 0},
		{"just enough", 32 << 20, "", 26843544},
		{"Nomad's default", 300 << 20, "", 251658240},
		{"a template without", 300 << 20, `{"node": {"id": "x"}}`, 251658240},
		{"a template with its own", 300 << 20, own, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := inputs()
			if tc.template != "" {
				in.Proxy.Proxy.Config = map[string]any{keyTemplate: tc.template}
			}
			want, err := Render(in)
			must.NoError(t, err)
			in.MemoryLimit = tc.limit
			got, err := Render(in)
			must.NoError(t, err)
			if tc.heap > 0 {
				must.Nil(t, want.OverloadManager)
				monitors := got.GetOverloadManager().GetResourceMonitors()
				must.Len(t, 1, monitors)
				config, err := monitors[0].GetTypedConfig().UnmarshalNew()
				must.NoError(t, err)
				heap, ok := config.(interface{ GetMaxHeapSizeBytes() uint64 })
				must.True(t, ok)
				must.Eq(t, tc.heap, heap.GetMaxHeapSizeBytes())
				got.OverloadManager = nil
			}
			must.True(t, proto.Equal(want, got))
		})
	}
}
