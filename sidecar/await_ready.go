package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
)

// awaitReady returns when a generation is of use to the app, or says what is
// missing. Its bootstrap may be nil: then Envoy's own reason is not asked for.
// One that has taken over from another is of use, whatever is missing: there is
// no way back. It is remarked then.
func (s *Sidecar) awaitReady(ctx context.Context, g generation, config *os.File, agent consul.AgentInfo) (remark string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.spec.ReadyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	missing, manager := "", s.manager(agent)
	nextParentCheck := time.Now().Add(parentCheck)
	for {
		p := s.admin.Progress(ctx)
		if p.Refused() {
			manager.Refusal = cmp.Or(s.admin.Refusals(ctx), "see the task's log for the reason")
		}
		// A request that the deadline cut off says nothing new.
		if ctx.Err() == nil {
			missing = p.Missing(g.epoch, s.needs, manager)
		}
		if missing == "" {
			return "", nil
		}
		if g.epoch > 0 && p.TookOver(g.epoch) {
			return "; " + missing, nil
		}
		if s.parent != nil && time.Now().After(nextParentCheck) {
			nextParentCheck = time.Now().Add(parentCheck)
			if svc, err := s.consul.Service(ctx, s.parent.ID); err == nil && svc == nil {
				return "", fmt.Errorf("gave up before Envoy was ready: the service %q was withdrawn from Consul; %s", s.spec.Service, missing)
			}
		}
		select {
		case <-g.proc.Done():
			return "", s.diedEarly(ctx, g, config)
		case <-ctx.Done():
			return "", fmt.Errorf("Envoy is not ready after %s: %s%s", s.spec.ReadyTimeout, missing, s.waitsFor(ctx))
		case <-tick.C:
		}
	}
}

// manager names the management server.
func (s *Sidecar) manager(agent consul.AgentInfo) envoy.ManagementServer {
	if s.spec.isGiven() {
		return envoy.ManagementServer{Name: "Consul", Where: "the management server that its bootstrap names"}
	}
	return envoy.ManagementServer{Name: "Consul", Where: "the Consul agent at " + agent.XDS.String()}
}

// waitsFor names what Envoy still waits for, if anything.
func (s *Sidecar) waitsFor(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateTimeout)
	defer cancel()
	if names := s.admin.Warming(ctx); names != "" {
		return " (" + names + ")"
	}
	return ""
}

// unknownUpstreams is a remark on the upstreams that lead nowhere yet, if any.
func (s *Sidecar) unknownUpstreams(ctx context.Context) string {
	var destinations []string
	for _, u := range s.spec.Proxy.Upstreams {
		destinations = append(destinations, u.DestinationName)
	}
	if len(destinations) == 0 {
		return ""
	}
	unknown := withoutHosts(destinations, s.admin.Hosts(ctx))
	if len(unknown) == 0 {
		return ""
	}
	return "; Consul knows no healthy instance yet of the upstreams " + quoteAll(unknown)
}

// withoutHosts are those of the destinations of which Consul knows no instance, by
// the hosts of Envoy's clusters. (A cluster is called "<service>.<namespace>.…"; one
// that a resolver leads elsewhere has another name, and is not judged.)
func withoutHosts(destinations []string, clusters map[string]int) []string {
	var unknown []string
	for _, destination := range destinations {
		found, hosts := false, 0
		for name, n := range clusters {
			if strings.HasPrefix(name, destination+".") {
				found, hosts = true, hosts+n
			}
		}
		if found && hosts == 0 {
			unknown = append(unknown, destination)
		}
	}
	return unknown
}

// diedEarly asks Envoy itself what it did not like.
func (s *Sidecar) diedEarly(ctx context.Context, g generation, config *os.File) error {
	exit := s.explain(g.proc.Exit())
	err := fmt.Errorf("Envoy %s before it was ready", exit)
	if exit.OOMKilled {
		return fmt.Errorf("%w; give the task more with resources { memory = … }, an idle Envoy takes 20 MB", err)
	}
	if config == nil {
		return err
	}
	if reason := s.spec.validate(ctx, config); reason != nil {
		return fmt.Errorf("%w; %w", err, reason)
	}
	return fmt.Errorf("%w; it accepts the bootstrap, so see the task's log for the reason", err)
}
