package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
)

// ErrForgotten is Attach's answer when neither Envoy nor its directory is
// there any more: the sidecar was destroyed before, or the machine restarted.
var ErrForgotten = errors.New("neither Envoy nor its run directory is there any more")

// attachTimeout bounds what is asked of an Envoy that is found again.
const attachTimeout = 2 * time.Second

// Attach finds a sidecar again that an earlier life of this program started,
// with all generations of its Envoy. One whose Envoy has gone in the meantime
// is Exited at once.
func Attach(ctx context.Context, spec Spec, state State, host Host) (*Sidecar, error) {
	s, err := newSidecar(spec, host)
	if err != nil {
		return nil, err
	}
	s.attached, s.version, s.started = true, state.EnvoyVersion, state.StartedAt
	s.parent = state.Parent
	s.chooseRegistrar()
	s.oomKills.Store(state.OOMKills)
	s.undo.push(s.removeRunDir)
	s.undo.push(s.removeSharedMemory)
	s.undo.push(s.withdraw)
	begun, err := s.find(ctx, state)
	if err != nil {
		s.consul.Close()
		return nil, err
	}
	s.undo.push(s.kill)
	s.publish(Warming, process.Exit{})
	go s.supervise(context.WithoutCancel(ctx), begun)
	return s, nil
}

// find looks for the generations. It gives one that had begun to take over
// when nobody watched any more, and has not done so yet.
func (s *Sidecar) find(ctx context.Context, state State) (begun *generation, err error) {
	found, err := findGenerations(s.spec.Run)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if _, err := os.Stat(s.spec.Run.Dir); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrForgotten
		}
		s.running.Store(&generations{current: generation{proc: process.Gone(state.Process), version: state.EnvoyVersion}})
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	last := len(found) - 1
	s.recallGiven(found[last])
	if last > 0 && !s.admin.Progress(ctx).TookOver(found[last].epoch) {
		begun, last = &found[last], last-1
	}
	now := generations{current: found[last], leaving: found[:last]}
	if now.current.version = state.EnvoyVersion; now.current.epoch > 0 && begun == nil {
		now.current.version = s.admin.Version(ctx)
	}
	s.running.Store(&now)
	for _, g := range found {
		s.log.Debug("found an Envoy of an earlier life", "proxy", s.proxyID(), "generation", g.epoch, "pid", g.proc.ID.PID, "serves", g.epoch == now.current.epoch)
	}
	s.recallToken(now.current)
	if len(found) == 1 && now.current.epoch > 0 && !s.serves(ctx, now.current) {
		// The one before died when this one had not taken over yet: it never will.
		return nil, now.current.end()
	}
	return begun, nil
}

// serves tells whether a generation has the listeners: somebody has, and there is
// no other.
func (s *Sidecar) serves(ctx context.Context, g generation) bool {
	if s.knowsListener() {
		return s.listened(ctx)
	}
	return s.admin.Progress(ctx).TookOver(g.epoch)
}

// recallToken takes the token from Envoy's bootstrap when it is found nowhere
// else any more: Nomad gave it in the environment, which is not kept.
func (s *Sidecar) recallToken(g generation) {
	if s.consul.Token() != "" {
		return
	}
	content, err := g.bootstrap()
	if err != nil {
		s.log.Warn("found a sidecar again without its ACL token", "proxy", s.proxyID(), "error", err)
		return
	}
	s.consul.SetToken(bootstrap.Token(content))
}
