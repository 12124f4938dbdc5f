package sidecar

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
)

// A proxy whose bootstrap somebody else wrote is started, drained, hot restarted
// and watched as any other. Who has it in Consul follows from its node's ID:
// Nomad, when that is one of Nomad's, else nobody.

// allocDirFD is the descriptor on which such a proxy finds the directory that the
// tasks of the allocation share: the bootstrap that Nomad writes names a socket
// below "alloc", which is right in the directory of a task only.
const allocDirFD = envoy.BootstrapFD + 1

// allocLink is the name of that directory in the run directory.
const allocLink = "alloc"

// isGiven tells that somebody else wrote the bootstrap.
func (s Spec) isGiven() bool { return s.BootstrapPath != "" }

// readGiven reads what the start of the proxy takes from its bootstrap.
func (s *Sidecar) readGiven(context.Context) error {
	given, err := s.parseGiven(s.spec)
	if err != nil {
		return err
	}
	s.take(given)
	if s.consul.Token() == "" {
		s.consul.SetToken(bootstrap.Token(given.Content))
	}
	if parent := s.spec.Parent; parent != nil && strings.HasPrefix(given.NodeID, parent.IDPrefix) {
		s.spec.StandaloneID = given.NodeID
	}
	s.chooseRegistrar()
	return nil
}

// chooseRegistrar says who has the sidecar in Consul.
func (s *Sidecar) chooseRegistrar() {
	switch {
	case !s.spec.isGiven():
		s.registrar = ownRegistrar{s}
	case s.proxyID() != "":
		s.registrar = nomadRegistrar{s}
	default:
		s.registrar = noRegistrar{}
	}
}

func (s *Sidecar) parseGiven(spec Spec) (bootstrap.Given, error) {
	given, err := bootstrap.ParseGiven(spec.Bootstrap, adminSocket)
	if err != nil {
		return given, Invalidf("bootstrap.path", "%s is no bootstrap: %v", spec.BootstrapPath, err)
	}
	return given, nil
}

// take remembers how to ask Envoy, and what it is to hear.
func (s *Sidecar) take(g bootstrap.Given) {
	s.admin = envoy.NewAdmin(g.Admin, s.spec.Run.Dir, s.spec.Run.Network)
	s.needs = envoy.Needs{Stream: g.Stream, Clusters: g.Clusters, Listeners: g.Listeners}
}

// recallGiven learns again how to ask an Envoy whose bootstrap is not our own.
func (s *Sidecar) recallGiven(g generation) {
	if !s.spec.isGiven() {
		return
	}
	var given bootstrap.Given
	content, err := g.bootstrap()
	if err == nil {
		given, err = bootstrap.ParseGiven(content, adminSocket)
	}
	if err != nil {
		s.log.Warn("found a proxy again without its bootstrap", "proxy", s.proxyID(), "error", err)
		return
	}
	s.take(given)
}

// linkAlloc makes the allocation's directory appear in the run directory.
func (s *Sidecar) linkAlloc(context.Context) error {
	return os.Symlink(envoy.FDPath(allocDirFD), filepath.Join(s.spec.Run.Dir, allocLink))
}

// renderGiven gives the bootstrap as it is now. Its admin API must stay where it
// is: a hot restart is followed there.
func (s *Sidecar) renderGiven(spec Spec) (rendered, error) {
	given, err := s.parseGiven(spec)
	if err != nil {
		return rendered{}, err
	}
	if at := s.admin.Address(); given.Admin != at {
		return rendered{}, errors.New("its admin API is to move from " + at.Address + " to " + given.Admin.Address + "; restart the task for that")
	}
	return rendered{content: given.Content}, nil
}

// agentInfo is what Envoy is told of the Consul agent, by this driver.
func (s *Sidecar) agentInfo(ctx context.Context) (consul.AgentInfo, error) {
	if s.spec.isGiven() {
		return consul.AgentInfo{}, nil
	}
	return s.agents.Info(ctx, s.consul)
}
