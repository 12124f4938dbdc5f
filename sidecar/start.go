package sidecar

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sync/errgroup"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
)

const (
	// parentWait is how long Nomad may take to register the group's services,
	// which it does while the first tasks start.
	parentWait = 5 * time.Second
	parentPoll = 25 * time.Millisecond

	readyPoll = 10 * time.Millisecond

	// parentCheck is how often a start looks whether its parent is still wanted.
	parentCheck = 500 * time.Millisecond
)

// start goes through the steps, each of which pushes its own undoing.
func (s *Sidecar) start(ctx context.Context) error {
	config := (*os.File)(nil)
	steps := []func(context.Context) error{
		s.survey,
		s.findParent,
		s.endOrphans,
		s.claimPorts,
		s.makeRunDir,
		s.claimSharedMemory,
		s.register,
	}
	if s.spec.isGiven() {
		steps = []func(context.Context) error{
			s.survey,
			s.readGiven,
			s.findRegistered,
			s.endOrphans,
			s.claimPorts,
			s.makeRunDir,
			s.linkAlloc,
			s.claimSharedMemory,
		}
	}
	for _, step := range append(steps,
		func(ctx context.Context) (err error) { config, err = s.firstBootstrap(ctx); return err },
		func(ctx context.Context) error { return s.launchFirst(ctx, config) },
		func(ctx context.Context) error { return s.awaitFirst(ctx, config) },
	) {
		if err := step(ctx); err != nil {
			return errors.Join(err, closeFile(config))
		}
	}
	return closeFile(config)
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// survey looks at what the sidecar is built on: Envoy and the Consul agent.
func (s *Sidecar) survey(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if s.version = s.spec.Envoy.Version; s.version != "" {
			return nil
		}
		s.version, err = s.spec.binary().Version(ctx)
		var unfit *envoy.UnfitBinaryError
		if s.spec.Envoy.Named && errors.As(err, &unfit) {
			return Invalidf("envoy.path", "%v", err)
		}
		return err
	})
	group.Go(func() (err error) {
		s.agent, err = s.agentInfo(ctx)
		return addressError(err)
	})
	return group.Wait()
}

// addressError tells the user's mistake from trouble with the agent.
func addressError(err error) error {
	var address *consul.AddressError
	if errors.As(err, &address) {
		return Invalidf("consul.grpc_address", "%v", err)
	}
	return err
}

// findParent waits for the registration of the service that the proxy fronts.
func (s *Sidecar) findParent(ctx context.Context) error {
	if s.spec.Parent == nil {
		return nil
	}
	var group []*api.AgentService
	found, err := awaitNomad(func() (found bool, err error) {
		if group, err = s.consul.GroupServices(ctx, s.spec.Parent.IDPrefix); err != nil {
			return false, err
		}
		s.parent, err = chooseParent(s.spec, group)
		return s.parent != nil, err
	})
	if err == nil && !found {
		err = noParent(s.spec, group)
	}
	return err
}

// awaitNomad looks again and again for what Nomad registers, and tells whether it
// was found within parentWait.
func awaitNomad(look func() (found bool, err error)) (bool, error) {
	deadline := time.Now().Add(parentWait)
	tick := time.NewTicker(parentPoll)
	defer tick.Stop()
	for {
		if found, err := look(); found || err != nil || time.Now().After(deadline) {
			return found, err
		}
		<-tick.C
	}
}

func noParent(s Spec, group []*api.AgentService) error {
	if len(group) == 0 {
		token := ""
		if s.Consul.Token == "" {
			token = " With ACLs it needs a token to see it (no ACL token is given)."
		}
		return fmt.Errorf("Consul shows no service of this group: Nomad was to register %q within %s; is Nomad connected to the same Consul agent, and has the group a service with that name?%s A client without a service of its own says standalone = true",
			s.Service, parentWait, token)
	}
	names := make([]string, 0, len(group))
	for _, svc := range group {
		names = append(names, svc.Service)
	}
	label := ""
	if s.Parent.PortLabel != "" {
		label = fmt.Sprintf(" on port %q", s.Parent.PortLabel)
	}
	return Invalidf("service", "the group has no service %q%s; it has: %s", s.Service, label, quoteAll(names))
}

func (s *Sidecar) makeRunDir(context.Context) error {
	if err := makeRunDir(s.spec.Run); err != nil {
		return err
	}
	s.undo.push(s.removeRunDir)
	return nil
}

func (s *Sidecar) claimSharedMemory(context.Context) error {
	s.undo.push(s.removeSharedMemory)
	return s.spec.sharedMemory().Claim(s.spec.Run.User)
}

func (s *Sidecar) launchFirst(ctx context.Context, config *os.File) error {
	s.countOOMKills()
	first, err := s.launch(s.spec, config, 0)
	if err != nil {
		return err
	}
	first.version, s.started = s.version, first.started
	s.running.Store(&generations{current: first})
	s.undo.push(s.kill)
	// From now on the registration says whose process it stands for.
	return s.registrar.tell(ctx, first.proc.ID, false)
}

func (s *Sidecar) awaitFirst(ctx context.Context, config *os.File) error {
	first := s.current()
	if _, err := s.awaitReady(ctx, first, config, s.agent); err != nil {
		return err
	}
	took := time.Since(first.started).Milliseconds()
	s.emit(fmt.Sprintf("Envoy %s is ready in %d ms (pid %d)%s", first.version, took, first.proc.ID.PID, s.unknownUpstreams(ctx)))
	return nil
}
