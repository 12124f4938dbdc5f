package sidecar

import (
	"testing"

	"github.com/shoenig/test/must"
)

// A port of root's is one that some field has the proxy listen on.
func TestAsksForLowPort(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		at   Place
		want bool
	}{
		{"no port", Place{}, false},
		{"high ports", Place{Public: Port{Number: 20000}, Ports: []Port{{Number: 1024}}}, false},
		{"the public one", Place{Public: Port{Number: 443}}, true},
		{"an upstream", Place{Public: Port{Number: 20000}, Ports: []Port{{Number: 20000}, {Number: 80}}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			must.Eq(t, tc.want, asksForLowPort(tc.at))
		})
	}
}
