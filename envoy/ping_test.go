package envoy

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// relay stands before an admin API, and counts who connects.
type relay struct {
	net.Listener

	mu       sync.Mutex
	accepted int
	open     []net.Conn
}

func startRelay(t *testing.T, target string) (*relay, *Admin) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "relay.sock")
	l, err := net.Listen("unix", socket)
	must.NoError(t, err)
	r := &relay{Listener: l}
	t.Cleanup(func() { _ = l.Close(); r.closeAll() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", target)
			if err != nil {
				_ = conn.Close()
				continue
			}
			r.mu.Lock()
			r.accepted++
			r.open = append(r.open, conn, to)
			r.mu.Unlock()
			go func() { _, _ = io.Copy(to, conn); _ = to.Close() }()
			go func() { _, _ = io.Copy(conn, to); _ = conn.Close() }()
		}
	}()
	return r, adminAt(socket)
}

func (r *relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.open {
		_ = conn.Close()
	}
	r.open = nil
}

func (r *relay) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.accepted
}

// Many questions need one connection. One that was closed meanwhile is no missing
// answer.
func TestAdmin_ping(t *testing.T) {
	t.Parallel()
	dir, _ := startFake(t, fake.WellBehaved, "")
	r, admin := startRelay(t, filepath.Join(dir, fake.AdminSocket))
	for range 20 {
		must.NoError(t, admin.Ping(t.Context()))
	}
	must.Eq(t, 1, r.count())
	for want := 2; want < 5; want++ {
		r.closeAll()
		must.NoError(t, admin.Ping(t.Context()))
		must.NoError(t, admin.Ping(t.Context()))
		must.Eq(t, want, r.count())
	}
	admin.Forget()
	must.NoError(t, admin.Ping(t.Context()))
	must.Eq(t, 5, r.count())
}

// One that hangs takes no longer than the question may, on a new connection and on
// one that was kept; an answer is one again.
func TestAdmin_pingHung(t *testing.T) {
	t.Parallel()
	dir, admin := startFake(t, fake.Hung, "")
	hang := filepath.Join(dir, fake.HangFile)
	for _, kept := range []bool{false, true} {
		must.Eq(t, kept, len(admin.kept) > 0)
		must.NoError(t, os.WriteFile(hang, nil, 0o600))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		must.Error(t, admin.Ping(ctx))
		must.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		cancel()
		must.Less(t, 5*time.Second, time.Since(began))
		must.NoError(t, os.Remove(hang))
		must.NoError(t, admin.Ping(t.Context()))
	}
}

// Any number may ask at a time; one connection of them is kept.
func TestAdmin_pingMany(t *testing.T) {
	t.Parallel()
	dir, _ := startFake(t, fake.WellBehaved, "")
	r, admin := startRelay(t, filepath.Join(dir, fake.AdminSocket))
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := admin.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before := r.count()
	must.NoError(t, admin.Ping(t.Context()))
	must.Eq(t, before, r.count())
}
