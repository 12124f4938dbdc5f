package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
)

// renewal is what came of an attempt to put a new generation in the place of
// the current one.
type renewal struct {
	why    string      // it was tried; empty when there was no reason to
	next   *generation // nil when it was not tried or failed
	remark string      // on what is amiss with next all the same
	err    error
	fatal  bool // the current one had to be ended, too
}

// failure is the sentence for the user; epoch is that of the current generation.
func (r renewal) failure(epoch int) string {
	if r.fatal {
		return fmt.Sprintf("Hot restart failed (%s) when it had taken the listeners over, so Envoy is started anew: %v", r.why, r.err)
	}
	return fmt.Sprintf("Hot restart failed (%s), generation %d serves on: %v", r.why, epoch, r.err)
}

// renew starts a generation that takes the sockets over from the current one,
// when somebody asked for that or when there is a reason to. Whatever fails,
// the current one serves on.
func (s *Sidecar) renew(ctx context.Context, why string) renewal {
	spec, err := s.host.Renew(s.spec)
	if err != nil {
		return renewal{why: why, err: err}
	}
	spec.Consul.Token = cmp.Or(spec.Consul.Token, s.consul.Token()) // one that is found no more is kept
	s.consul.SetAgentToken(spec.Consul.AgentToken)
	agent, err := s.agentInfo(ctx)
	if err != nil {
		return renewal{why: why, err: err}
	}
	if err := s.takeToken(ctx, spec.Consul.Token); err != nil {
		return renewal{why: why, err: err}
	}
	r, err := s.render(ctx, spec, agent)
	if err == nil && why == "" {
		why, err = s.reason(ctx, spec, r)
	}
	if err != nil || why == "" {
		return renewal{why: why, err: err}
	}
	result := s.succeed(ctx, spec, agent, r)
	result.why = why
	return result
}

// reason says why the current generation should go; empty when it need not.
func (s *Sidecar) reason(ctx context.Context, spec Spec, r rendered) (string, error) {
	if s.adminClosed(ctx) {
		return "its admin API is closed since a hot restart failed", nil
	}
	return s.current().outdated(r.content, spec.Envoy.Path)
}

func (s *Sidecar) adminClosed(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	return envoy.AdminClosed(s.admin.Ping(ctx))
}

// takeToken registers the sidecar with another token: Consul makes a proxy's
// configuration with the one that it was registered with.
func (s *Sidecar) takeToken(ctx context.Context, token string) error {
	before := s.consul.Token()
	if token == before {
		return nil
	}
	s.consul.SetToken(token)
	if err := s.registrar.tell(ctx, s.current().proc.ID, s.Status().Phase == Serving); err != nil {
		s.consul.SetToken(before)
		return fmt.Errorf("take the new ACL token: %w", err)
	}
	s.emit("Registered again with the new ACL token")
	return nil
}

// succeed validates, then starts the next generation and waits until it has
// taken over.
func (s *Sidecar) succeed(ctx context.Context, spec Spec, agent consul.AgentInfo, r rendered) renewal {
	var err error
	if spec.Envoy.Version == "" {
		if spec.Envoy.Version, err = spec.binary().Version(ctx); err != nil {
			return renewal{err: err}
		}
	}
	config, err := secretFile("bootstrap.json", r.content, spec.Run.User)
	if err != nil {
		return renewal{err: err}
	}
	defer func() { _ = config.Close() }()
	if err := spec.validate(ctx, config); err != nil {
		return renewal{err: err}
	}
	if s.adminClosed(ctx) { // by one that died, and may have left its word
		if err := s.makeRoom(); err != nil {
			return renewal{err: err}
		}
	}
	listened := s.listened(ctx)
	next, err := s.launch(spec, config, s.current().epoch+1)
	if err != nil {
		return renewal{err: err}
	}
	return s.settle(ctx, next, config, agent, listened)
}

// resume waits for a generation that an earlier life of this program started.
func (s *Sidecar) resume(ctx context.Context, next generation) renewal {
	agent, err := s.agentInfo(ctx)
	if err != nil {
		s.log.Warn("does not know where Envoy finds Consul", "proxy", s.proxyID(), "error", err)
	}
	result := s.settle(ctx, next, nil, agent, s.knowsListener())
	result.why = "begun before the plugin was restarted"
	if result.next != nil {
		result.next.version = s.envoyVersion(ctx)
	}
	return result
}

// settle waits until a generation has taken over. One that does not is ended,
// and room is made for another. One that ended just after it had taken over
// leaves nobody who listens, where somebody listened before: then the current one
// goes, too, as after a crash.
func (s *Sidecar) settle(ctx context.Context, next generation, config *os.File, agent consul.AgentInfo, listened bool) renewal {
	remark, err := s.awaitReady(ctx, next, config, agent)
	if err == nil {
		return renewal{next: &next, remark: remark}
	}
	ctx = context.WithoutCancel(ctx) // of a hot restart that is abandoned nothing is left either
	if s.hasTakenOver(ctx, next) {
		return renewal{next: &next}
	}
	err = errors.Join(err, next.end(), s.makeRoom())
	if !listened || s.listened(ctx) {
		return renewal{err: err}
	}
	return renewal{fatal: true, err: errors.Join(err, s.current().end())}
}

// makeRoom takes back the word of a generation that died while it initialized.
func (s *Sidecar) makeRoom() error {
	err := s.spec.sharedMemory().ClearInitializing()
	if errors.Is(err, envoy.ErrUnknownLayout) {
		return fmt.Errorf("%w; restart the task for the next change", err)
	}
	return err
}

// listened tells whether somebody listens for peers; nobody, where it is not known
// which listener that is.
func (s *Sidecar) listened(ctx context.Context) bool {
	return s.knowsListener() && checkPortFree(ctx, s.spec.Run.Network, publicListener(s.spec)) != nil
}

// hasTakenOver asks a generation for the last time.
func (s *Sidecar) hasTakenOver(ctx context.Context, g generation) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	return s.admin.Progress(ctx).TookOver(g.epoch)
}

// envoyVersion is that of the Envoy that answers now.
func (s *Sidecar) envoyVersion(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	return s.admin.Version(ctx)
}
