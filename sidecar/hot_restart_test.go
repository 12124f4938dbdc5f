package sidecar_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/fake"
	"nomad-driver-connect/sidecar"
)

func TestHotRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	first := s.Status().Process
	b.restarted(s)
	b.mustSay("Hot restart 1 (SIGHUP): Envoy 1.36.4 serves after")
	must.NotEq(t, first, s.Status().Process)
	must.Eq(t, sidecar.Serving, s.Status().Phase)
	must.Eq(t, "passing", b.consul.Ready())
	eventually(t, func() bool { return b.consul.Proxy().Meta["proxy-pid"] == strconv.Itoa(s.Status().Process.PID) })
	usage, err := s.Usage()
	must.NoError(t, err)
	must.Positive(t, usage.RSS)

	// A generation that has nothing to do any more leaves at once.
	eventually(t, b.sawEvent("Generation 0 has left: it exited with status 0; no connection was cut"))
	eventually(t, func() bool { return s.Generations() == 1 })

	// A stop does not wait for those that leave.
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	b.destroyed(s)
}

// Two may be leaving at a time, with the connections that they have; one more is put
// off until the first has left.
func TestHotRestart_twoLeave(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.life.DrainTimeout = 5 * time.Second
	b.startApp()
	s := b.started()
	serves(t, s)
	for range 2 {
		b.connect()
		b.restarted(s)
	}
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("A hot restart is to follow (SIGHUP) when generation 0 has left"))
	must.Eq(t, 2, s.Leaving())
	eventually(t, b.sawEvent("Generation 0 has left: it exited with status 0; 1 connection was cut, as their time was over (drain.timeout, 5s)"))
	eventually(t, func() bool { return s.Status().Epoch == 3 })

	// A stop does not wait for those that leave.
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, 0, s.Status().Exit.Code, b.story())
	b.destroyed(s)
}

// Whatever a new generation fails of, the old one serves on and the next works.
func TestHotRestart_fails(t *testing.T) {
	t.Parallel()
	with := func(behaviour fake.Behaviour) func(*bench) { return func(b *bench) { b.renewWith(behaviour) } }
	for _, tc := range []struct {
		name   string
		spoil  func(*bench)
		reason string
	}{
		{"bootstrap is refused", with(fake.Dying), "it refuses the bootstrap: error initializing configuration"},
		{"binary is missing", func(b *bench) { b.renewAt("/nowhere/envoy") }, "/nowhere/envoy: no such file or directory"},
		{"dies in init", with(fake.Mortal), "Envoy exited with status 3 before it was ready"},
		{"dies when the old one has closed its admin API", with(fake.LateMortal), "Envoy exited with status 3 before it was ready"},
		{"is never ready", with(fake.Alone), "Envoy is not ready after 2s: Envoy has no xDS connection"},
		{"token file is gone", func(b *bench) {
			b.change(func(n *node) {
				n.settings = func() (envoy.Settings, error) { return envoy.Settings{}, errors.New("read the token") }
			})
		}, "read the token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, fake.WellBehaved)
			b.life.ReadyTimeout = 2 * time.Second
			s := b.startServing()
			first, good := s.Status().Process, b.now()
			tc.spoil(b)
			must.NoError(t, s.Signal(syscall.SIGHUP))
			eventually(t, b.sawEvent("Hot restart failed (SIGHUP), generation 0 serves on: "))
			b.mustSay(tc.reason)
			must.Eq(t, first, s.Status().Process)
			must.Eq(t, "passing", b.consul.Ready())

			b.change(func(n *node) { *n = good })
			b.restarted(s)
			b.destroyed(s)
		})
	}
}

// A generation that has taken over stays, whatever it lacks.
func TestHotRestart_remark(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.renewWith(fake.Picky)
	b.restarted(s)
	b.mustSay("; Envoy refused a listener that Consul sent: cannot bind '127.0.0.1:9191'")
	b.destroyed(s)
}

// One that ends just after it has taken over leaves nobody who listens.
func TestHotRestart_usurped(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	b.renewWith(fake.Usurper)
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("Hot restart failed (SIGHUP) when it had taken the listeners over, so Envoy is started anew: Envoy exited with status 3"))
	b.renewWith(fake.WellBehaved)
	eventually(t, b.sawEvent("Envoy was killed by signal 9 (SIGKILL)"))
	b.destroyed(s)
}

// A generation that hangs while it leaves is ended, so that others can follow.
func TestHotRestart_hungLeaver(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	first := s.Status().Process
	b.restarted(s)
	must.NoError(t, syscall.Kill(first.PID, syscall.SIGSTOP))
	eventually(t, b.sawEvent("Generation 0 has left: it was killed by signal 9 (SIGKILL)"))
	b.restarted(s)
	b.destroyed(s)
}

// A change of the central configuration that comes while a generation leaves is not
// forgotten: it is looked at as soon as that one has left.
func TestHotRestart_reasonWhileLeaving(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s, _ := b.watched()
	settings := b.now().settings
	b.change(func(n *node) {
		n.settings = func() (envoy.Settings, error) {
			next, err := settings()
			next.DrainTimeout = 2 * time.Second // of generation 1: the news take up to a second
			return next, err
		}
	})
	b.restarted(s)
	eventually(t, b.sawEvent("Generation 0 has left"))
	b.restarted(s)
	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	eventually(t, b.sawEvent("Hot restart 3 (its bootstrap has changed): "))
	b.destroyed(s)
}

// What a sidecar runs with is compared with what it would be started with now.
func TestHotRestart_reason(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	s := b.startServing()
	why, _, err := s.Attempt(t.Context())
	must.NoError(t, err)
	must.Eq(t, "", why, must.Sprint("nothing has changed"))

	b.consul.SetCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	b.consul.Fail("GET /v1/config/", 0) // as when Consul has no leader
	why, _, err = s.Attempt(t.Context())
	must.ErrorContains(t, err, "read proxy-defaults")
	must.Eq(t, "", why)
	b.consul.Heal()
	why, next, err := s.Attempt(t.Context())
	must.NoError(t, err)
	must.Eq(t, "its bootstrap has changed", why)
	must.StrContains(t, string(next.Config), `"7s"`)
	must.Eq(t, 1, s.Generations(), must.Sprint("to find out starts nothing"))
	b.destroyed(s)
}

// A new token is the registration's and, by a hot restart, Envoy's.
func TestHotRestart_token(t *testing.T) {
	t.Parallel()
	b := newBench(t, fake.WellBehaved)
	b.access.Token = "old"
	s := b.startServing()
	b.giveToken("new")
	eventually(t, func() bool { return s.Status().Epoch == 1 })
	b.mustSay("Hot restart 1 (its token has changed)")
	must.Eq(t, "new", b.consul.Registrar(), must.Sprint("Consul configures a proxy with the token that registered it"))
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/fd/%d", s.Status().Process.PID, envoy.BootstrapFD))
	must.NoError(t, err)
	must.StrContains(t, string(content), `"value":"new"`)

	// It is found again in the bootstrap when it was only in the environment.
	b.access.Token = ""
	b.giveToken("")
	again := b.attach(s.State())
	must.Eq(t, "new", b.client.Tokens().Task)
	b.destroyed(again)
}
