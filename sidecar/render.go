package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
)

// rendered is a bootstrap for one generation of the sidecar.
type rendered struct {
	content []byte   // JSON, with the token
	hatches []string // the keys of Envoy's own JSON in it
}

// render makes the bootstrap of what Consul knows now. It is the sidecar's
// own: the token of spec may be another than that which it was started with.
func (s *Sidecar) render(ctx context.Context, spec Spec, agent consul.AgentInfo) (rendered, error) {
	if spec.isGiven() {
		return s.renderGiven(spec)
	}
	in, err := s.consul.Inputs(ctx, s.proxyID(), bootstrap.Inputs{
		Agent: agent.XDS,
		Admin: bootstrap.Admin{Socket: adminSocket},
		Token: spec.Consul.Token,
		Env:   bootstrap.Environ(spec.Run.Env),

		MemoryLimit: uint64(max(spec.Run.Cgroup.Limits.Memory, 0)),
	})
	if err != nil {
		return rendered{}, err
	}
	message, err := bootstrap.Render(in)
	if err != nil {
		return rendered{}, s.renderError(err)
	}
	content, err := bootstrap.Marshal(message)
	if err != nil {
		return rendered{}, fmt.Errorf("render the bootstrap: %w", err)
	}
	return rendered{content: content, hatches: bootstrap.HatchKeys(in.Proxy.Proxy.Config)}, nil
}

// firstBootstrap gives the bootstrap of the first generation as a file in
// memory; the caller closes it.
func (s *Sidecar) firstBootstrap(ctx context.Context) (*os.File, error) {
	r, err := s.render(ctx, s.spec, s.agent)
	if err != nil {
		return nil, err
	}
	if s.spec.isGiven() {
		s.emit("Read the bootstrap " + s.spec.BootstrapPath)
	} else {
		note := ""
		if s.agent.Note != "" {
			note = " (" + s.agent.Note + ")"
		}
		s.emit(fmt.Sprintf("Rendered the bootstrap, xDS from %s%s", s.agent.XDS, note))
	}
	file, err := secretFile("bootstrap.json", r.content, s.spec.Run.User)
	if err != nil {
		return nil, err
	}
	if err := s.judge(ctx, file, r.hatches); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// judge lets Envoy say what it makes of its own JSON, before it is started
// with it.
func (s *Sidecar) judge(ctx context.Context, config *os.File, hatches []string) error {
	if len(hatches) == 0 {
		return nil
	}
	err := s.spec.validate(ctx, config)
	var refused *envoy.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	var own []string
	for _, hatch := range hatches {
		if key, ok := s.ownKey(hatch); ok {
			own = append(own, key)
		}
	}
	if len(own) == len(hatches) {
		return Invalidf("sidecar_service.proxy.config."+strings.Join(own, ", "), "Envoy refuses the bootstrap with it: %s", refused.Complaint)
	}
	return fmt.Errorf("Envoy refuses the bootstrap with %s, which Consul's config entries have a part in: %s", quoteAll(hatches), refused.Complaint)
}

// renderError tells a key of the job's own proxy.config from one that came from
// a config entry.
func (s *Sidecar) renderError(err error) error {
	var wrong *bootstrap.KeyError
	if errors.As(err, &wrong) {
		if key, ok := s.ownKey(wrong.Key); ok {
			return Invalidf("sidecar_service.proxy.config."+key, "%v", wrong.Err)
		}
	}
	return fmt.Errorf("render the bootstrap: %w", err)
}

// ownKey gives a key of the bootstrap as the job spells it, when it does.
func (s *Sidecar) ownKey(key string) (string, bool) {
	for own := range s.spec.Proxy.Config {
		if strings.EqualFold(own, key) {
			return own, true
		}
	}
	return "", false
}
