package process

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// What a start costs a program of this size, and a confined one.
func BenchmarkStart(b *testing.B) {
	heap := make([]byte, 50<<20) // as much as the plugin of a thousand sidecars has
	for i := 0; i < len(heap); i += 4096 {
		heap[i] = 1
	}
	for name, confinement := range map[string]*Confinement{"free": nil, "confined": {}} {
		b.Run(name, func(b *testing.B) {
			dir := openDir(b, "/")
			for b.Loop() {
				got, err := Run(b.Context(), Launch{Path: "/bin/true", Dir: dir, User: somebody, Confinement: confinement}, Limit{Time: time.Minute})
				must.NoError(b, err)
				must.Eq(b, 0, got.Exit.Code)
			}
		})
	}
	_ = heap[0]
}
