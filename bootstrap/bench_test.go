package bootstrap

import "testing"

// BenchmarkRender is our own part of a bootstrap: from what Consul answered to
// the JSON that Envoy reads.
func BenchmarkRender(b *testing.B) {
	in := inputs()
	for b.Loop() {
		message, err := Render(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Marshal(message); err != nil {
			b.Fatal(err)
		}
	}
}
