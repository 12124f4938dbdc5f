package serve

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// A server that stands before itself does not start: its requests would go round.
func TestNew_beforeItself(t *testing.T) {
	t.Parallel()
	socket := "unix://" + filepath.Join(t.TempDir(), "hook.sock")
	_, err := New(t.Context(), Config{Address: socket, Nomad: socket})
	must.ErrorContains(t, err, "is where -serve listens")
	_, err = New(t.Context(), Config{Address: socket, Nomad: socket})
	must.ErrorContains(t, err, "is where -serve listens", must.Sprint("the socket of the first is gone"))
}

func TestUpstream_isAt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		own, nomad string
		want       bool
	}{
		{"127.0.0.1:4645", "http://127.0.0.1:4645", true},
		{"127.0.0.1:4645", "https://localhost:4645", true},
		{"[::1]:4645", "http://[::1]:4645", true},
		{"0.0.0.0:4645", "http://127.0.0.1:4645", true},
		{"10.0.0.1:80", "http://10.0.0.1", true},
		{"127.0.0.1:4645", "http://127.0.0.1:4646", false},
		{"127.0.0.2:4646", "http://127.0.0.1:4646", false},
		{"127.0.0.2:4646", "http://localhost:4646", false},
		{"10.0.0.1:4646", "http://localhost:4646", false},
		{"10.0.0.1:4646", "http://nomad.example:4646", false},
		{"127.0.0.1:4646", "unix:///run/nomad.sock", false},
	} {
		own, err := net.ResolveTCPAddr("tcp", tc.own)
		must.NoError(t, err)
		nomad, err := newUpstream(tc.nomad, nil)
		must.NoError(t, err)
		must.Eq(t, tc.want, nomad.isAt(own), must.Sprint(tc))
	}
}
