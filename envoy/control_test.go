package envoy

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

// The connections of peers are counted by Envoy itself, and by their listener.
func TestControl_open(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.66.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
			must.NoError(t, err)
			listener := l.Addr().String()
			must.NoError(t, l.Close())
			_, admin := startFake(t, fake.WellBehaved, listener)
			control := newControl(api{Admin: admin})
			open := func(want int) func() bool {
				return func() bool {
					n, err := control.Open(t.Context(), []sidecar.Address{{Network: "tcp", Address: listener}})
					return err == nil && n == want
				}
			}
			eventually(t, open(0))
			for i := range 2 {
				conn, err := net.Dial("tcp", listener)
				must.NoError(t, err)
				defer func() { _ = conn.Close() }()
				eventually(t, open(i+1))
			}
			_, err = control.Open(t.Context(), []sidecar.Address{{Network: "tcp", Address: listener}, {Network: "tcp", Address: "192.0.2.1:7"}})
			must.EqError(t, err, "Envoy has no statistic listener.192.0.2.1_7.downstream_cx_active")
		})
	}
}

// One that does not answer, or not any more, has told nothing.
func TestControl_openOfNobody(t *testing.T) {
	t.Parallel()
	control := newControl(api{Admin: adminAt(filepath.Join(t.TempDir(), "none"))})
	_, err := control.Open(t.Context(), []sidecar.Address{{Network: "tcp", Address: "127.0.0.1:1"}})
	must.Error(t, err)
}

// One whose successor has begun is told from one that is not there yet.
func TestControl_aliveClosed(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "admin.sock")
	control := newControl(api{Admin: adminAt(socket)})
	err := control.Alive(t.Context())
	must.ErrorIs(t, err, os.ErrNotExist)
	must.False(t, AdminClosed(err))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: socket})
	must.NoError(t, err)
	l.SetUnlinkOnClose(false)
	must.NoError(t, l.Close())
	must.ErrorIs(t, control.Alive(t.Context()), sidecar.ErrClosed)
}

func TestWithoutHosts(t *testing.T) {
	t.Parallel()
	clusters := map[string]int{
		"db.default.dc1.internal.x.consul":    0,
		"api.default.dc1.internal.x.consul":   1,
		"v2.split.default.dc1.internal.x":     0,
		"split.default.dc1.internal.x.consul": 0,
		"split.default.dc2.internal.x.consul": 2,
		"local_app":                           1,
	}
	must.Eq(t, []string{"db"}, withoutHosts([]string{"db", "api", "split", "elsewhere"}, clusters))
	must.Len(t, 0, withoutHosts([]string{"db"}, nil), must.Sprint("Envoy did not say"))
}
