package sidecar

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/process"
)

// startServing starts a sidecar whose older generations leave after a second,
// and waits until it serves.
func (b *bench) startServing() *Sidecar {
	b.t.Helper()
	b.spec.DrainTimeout = time.Second
	b.startApp()
	s, err := b.start()
	must.NoError(b.t, err)
	eventually(b.t, func() bool { return s.Status().Phase == Serving })
	return s
}

// restarted asks for a hot restart and waits until the next generation serves.
func (b *bench) restarted(s *Sidecar) {
	b.t.Helper()
	next := s.Status().Epoch + 1
	must.NoError(b.t, s.Signal(syscall.SIGHUP))
	eventually(b.t, func() bool { return s.Status().Epoch == next })
}

// renewWith lets the next generations have a fake Envoy of another temper.
func (b *bench) renewWith(temper string) {
	path := envoyNamed(b.t, temper)
	b.renewed = func(spec Spec) (Spec, error) {
		spec.Envoy.Path = path
		return spec, nil
	}
}

func TestHotRestart(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	first := s.Status().Process
	b.restarted(s)
	must.True(t, b.sawEvent("Hot restart 1 (SIGHUP): Envoy 1.36.4 serves after")())
	must.NotEq(t, first, s.Status().Process)
	must.Eq(t, Serving, s.Status().Phase)
	must.Eq(t, "passing", b.consul.ready())
	eventually(t, func() bool {
		return b.consul.proxy().Meta[metaPID] == registration(b.spec, nil, s.Status().Process, true).Meta[metaPID]
	})
	usage, err := s.Usage()
	must.NoError(t, err)
	must.Positive(t, usage.RSS)

	// One more is put off until the first has left.
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, b.sawEvent("A hot restart is to follow (SIGHUP) when generation 0 has left"))
	eventually(t, b.sawEvent("Generation 0 has left: it exited with status 0"))
	eventually(t, func() bool { return s.Status().Epoch == 2 })

	// A stop does not wait for those that leave.
	s.Stop(syscall.SIGTERM, 10*time.Second)
	must.Eq(t, 0, s.Status().Exit.Code)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// Whatever a new generation fails of, the old one serves on and the next works.
func TestHotRestart_fails(t *testing.T) {
	for _, tc := range []struct {
		name   string
		spoil  func(*bench)
		reason string
	}{
		{"bootstrap is refused", func(b *bench) { b.renewWith(dying) }, "it refuses the bootstrap: error initializing configuration"},
		{"binary is missing", func(b *bench) {
			b.renewed = func(spec Spec) (Spec, error) { spec.Envoy.Path = "/nowhere/envoy"; return spec, nil }
		}, "/nowhere/envoy: no such file or directory"},
		{"dies in init", func(b *bench) { b.renewWith(mortal) }, "Envoy exited with status 3 before it was ready"},
		{"dies when the old one has closed its admin API", func(b *bench) { b.renewWith(lateMortal) }, "Envoy exited with status 3 before it was ready"},
		{"is never ready", func(b *bench) { b.renewWith(alone) }, "Envoy is not ready after 2s: Envoy has no xDS connection"},
		{"token file is gone", func(b *bench) {
			b.renewed = func(spec Spec) (Spec, error) { return spec, errors.New("read the token") }
		}, "read the token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, wellBehaved)
			b.spec.ReadyTimeout = 2 * time.Second
			s := b.startServing()
			first := s.Status().Process
			good := b.renewed
			b.mu.Lock()
			tc.spoil(b)
			b.mu.Unlock()
			must.NoError(t, s.Signal(syscall.SIGHUP))
			eventually(t, b.sawEvent("Hot restart failed (SIGHUP), generation 0 serves on: "))
			must.True(t, b.sawEvent(tc.reason)())
			must.Eq(t, first, s.Status().Process)
			must.Eq(t, "passing", b.consul.ready())

			b.mu.Lock()
			b.renewed = good
			b.mu.Unlock()
			b.restarted(s)
			must.NoError(t, s.Destroy(t.Context()))
			b.clean()
		})
	}
}

// A generation that has taken over stays, whatever it lacks.
func TestHotRestart_remark(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	b.mu.Lock()
	b.renewWith(picky)
	b.mu.Unlock()
	b.restarted(s)
	must.True(t, b.sawEvent("; Envoy refused a listener that Consul sent: cannot bind '127.0.0.1:9191'")())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// One that ends just after it has taken over leaves nobody who listens.
func TestHotRestart_usurped(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	b.mu.Lock()
	b.renewWith(usurper)
	b.mu.Unlock()
	must.NoError(t, s.Signal(syscall.SIGHUP))
	<-s.Done()
	must.True(t, b.sawEvent("Hot restart failed (SIGHUP) when it had taken the listeners over, so Envoy is started anew: Envoy exited with status 3")())
	must.Eq(t, "critical", b.consul.ready())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// A generation that hangs while it leaves is ended, so that others can follow.
func TestHotRestart_hungLeaver(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	first := s.Status().Process
	b.restarted(s)
	must.NoError(t, syscall.Kill(first.PID, syscall.SIGSTOP))
	eventually(t, b.sawEvent("Generation 0 has left: it was killed by signal 9 (SIGKILL)"))
	b.restarted(s)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// What a sidecar runs with is compared with what it would be started with now.
func TestHotRestart_reason(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	must.Eq(t, renewal{}, s.renew(t.Context(), ""), must.Sprint("nothing has changed"))

	b.consul.setCentral(map[string]any{"envoy_stats_flush_interval": "7s"})
	b.consul.fail("GET /v1/config/") // as when Consul has no leader
	result := s.renew(t.Context(), "")
	must.ErrorContains(t, result.err, "read proxy-defaults")
	must.Eq(t, "", result.why)
	b.consul.fail("")
	result = s.renew(t.Context(), "")
	must.NoError(t, result.err)
	must.Eq(t, "its bootstrap has changed", result.why)
	must.NoError(t, result.next.end())
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

func TestHotRestart_token(t *testing.T) {
	b := newBench(t, wellBehaved)
	b.spec.Consul.Token = "old"
	s := b.startServing()
	b.mu.Lock()
	b.renewed = func(spec Spec) (Spec, error) { spec.Consul.Token = "new"; return spec, nil }
	b.mu.Unlock()
	b.restarted(s)
	must.Eq(t, "new", b.consul.registrar(), must.Sprint("Consul configures a proxy with the token that registered it"))
	content, err := s.current().bootstrap()
	must.NoError(t, err)
	must.StrContains(t, string(content), `"value":"new"`)

	// It is found again in the bootstrap when it was only in the environment.
	forgetful := b.spec
	forgetful.Consul.Token = ""
	again, err := Attach(t.Context(), forgetful, s.State(), b.host())
	must.NoError(t, err)
	must.Eq(t, "new", again.consul.Token())
	must.NoError(t, again.Destroy(t.Context()))
	b.clean()
}

// A crash is one, also during a hot restart; nothing is left of either.
func TestHotRestart_crash(t *testing.T) {
	b := newBench(t, wellBehaved)
	s := b.startServing()
	b.mu.Lock()
	b.renewWith(alone)
	b.mu.Unlock()
	must.NoError(t, s.Signal(syscall.SIGHUP))
	eventually(t, func() bool { return len(must2(findGenerations(b.spec.Run))) == 2 })
	must.NoError(t, s.Signal(syscall.SIGKILL))
	<-s.Done()
	must.Eq(t, syscall.SIGKILL, s.Status().Exit.Signal)
	must.NoError(t, s.Destroy(t.Context()))
	b.clean()
}

// launchNext starts another generation, as a plugin does that is killed then.
func (b *bench) launchNext(s *Sidecar, temper string) {
	b.t.Helper()
	config, err := secretFile("bootstrap.json", []byte("{}"), process.User{})
	must.NoError(b.t, err)
	defer func() { _ = config.Close() }()
	spec := b.spec
	spec.Envoy.Path = envoyNamed(b.t, temper)
	_, err = s.launch(spec, config, 1)
	must.NoError(b.t, err)
	eventually(b.t, func() bool { return len(must2(findGenerations(b.spec.Run))) == 2 })
}

// All generations are found again, whatever they were about.
func TestHotRestart_recovered(t *testing.T) {
	t.Run("while the old one leaves", func(t *testing.T) {
		b := newBench(t, wellBehaved)
		s := b.startServing()
		b.restarted(s)
		again, err := Attach(t.Context(), b.spec, s.State(), b.host())
		must.NoError(t, err)
		must.Eq(t, 1, again.Status().Epoch)
		must.Eq(t, s.Status().Process, again.Status().Process)
		must.Len(t, 1, again.running.Load().leaving)
		eventually(t, func() bool { return len(again.running.Load().leaving) == 0 })
		must.NoError(t, again.Destroy(t.Context()))
		b.clean()
	})
	t.Run("when the old one died before the new one was ready", func(t *testing.T) {
		b := newBench(t, wellBehaved)
		s := b.startServing()
		b.launchNext(s, alone)
		state := s.State()
		must.NoError(t, s.Signal(syscall.SIGKILL))
		<-s.current().proc.Done()
		again, err := Attach(t.Context(), b.spec, state, b.host())
		must.NoError(t, err)
		<-again.Done()
		must.Eq(t, Exited, again.Status().Phase)
		must.NoError(t, again.Destroy(t.Context()))
		b.clean()
	})
	t.Run("before the new one was ready", func(t *testing.T) {
		b := newBench(t, wellBehaved)
		b.spec.ReadyTimeout = time.Second
		s := b.startServing()
		b.launchNext(s, alone)

		again, err := Attach(t.Context(), b.spec, s.State(), b.host())
		must.NoError(t, err)
		must.Eq(t, 0, again.Status().Epoch)
		eventually(t, b.sawEvent("Hot restart failed (begun before the plugin was restarted), generation 0 serves on: Envoy is not ready"))
		b.restarted(again)
		must.NoError(t, again.Destroy(t.Context()))
		b.clean()
	})
}

func TestSameJSON(t *testing.T) {
	same, err := sameJSON([]byte(`{"a":[1,2], "b":null}`), []byte(`{"b":null,"a":[1,2]}`))
	must.NoError(t, err)
	must.True(t, same)
	same, err = sameJSON([]byte(`{"a":[1,2]}`), []byte(`{"a":[2,1]}`))
	must.NoError(t, err)
	must.False(t, same)
	_, err = sameJSON([]byte(`{`), []byte(`{}`))
	must.Error(t, err)
}
