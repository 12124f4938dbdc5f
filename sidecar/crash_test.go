package sidecar_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/fake"
)

// deaf are the ways in which Consul does not take the news of a crash.
var deaf = map[string]func(*fake.Consul){
	"too many connections": func(c *fake.Consul) { c.Fail("PUT /v1/agent/check/update/", http.StatusTooManyRequests) },
	"no leader":            func(c *fake.Consul) { c.Fail("PUT /v1/agent/check/update/", http.StatusInternalServerError) },
	"it hangs":             (*fake.Consul).Hang,
}

// A Consul that does not take the news of a crash is told again until it does.
func TestSidecar_crashUntold(t *testing.T) {
	t.Parallel()
	for name, fail := range deaf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			b.timing.Request = 300 * time.Millisecond
			s := b.startServing()
			fail(b.consul)
			b.crash(s)
			must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
			must.Eq(t, "passing", b.consul.Ready(), must.Sprint("it has not heard of it"))
			if name != "it hangs" {
				refused := b.consul.Refusals()
				eventually(t, func() bool { return b.consul.Refusals() > refused })
			}

			b.consul.Heal()
			b.consul.Resume()
			eventually(t, func() bool { return b.consul.Ready() == "critical" })
			must.StrContains(t, b.consul.Check(proxyID+":ready").Output, "killed by signal 9")
			b.destroyed(s)
		})
	}
}

// Whoever destroys it does not wait for that.
func TestSidecar_crashUntoldAndDestroyed(t *testing.T) {
	t.Parallel()
	for name, fail := range deaf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			b.timing.RetryMin, b.timing.RetryMax = time.Hour, time.Hour
			s := b.startServing()
			fail(b.consul)
			b.crash(s)
			b.consul.Resume()
			began := time.Now()
			b.destroyed(s)
			must.Less(t, 3*time.Second, time.Since(began))
		})
	}
}

// One that cannot be withdrawn is withdrawn by the next try.
func TestSidecar_destroyedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.consul.Fail("PUT /v1/agent/service/deregister/", 0)
	must.ErrorContains(t, s.Destroy(t.Context()), "deregister "+proxyID)
	must.DirNotExists(t, b.life.Run.Dir)
	b.consul.Heal()
	b.destroyed(s)
}
