package mesh

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/pace"
	"nomad-driver-connect/sidecar"
)

// Parent says how to find the registration that the sidecar stands before.
type Parent struct {
	// IDPrefix is what the IDs of all services of the same group begin with.
	IDPrefix string

	// PortLabel decides between two registrations of one name; else empty.
	PortLabel string
}

// ParentService is that registration.
type ParentService struct {
	ID      string
	Address string
	Port    int
	Tags    []string
	Meta    map[string]string
	Weights api.AgentWeights
}

func parentOf(svc *api.AgentService) *ParentService {
	return &ParentService{ID: svc.ID, Address: svc.Address, Port: svc.Port, Tags: svc.Tags, Meta: svc.Meta, Weights: svc.Weights}
}

func (p *ParentService) equal(q *ParentService) bool {
	return p.ID == q.ID && p.Address == q.Address && p.Port == q.Port && p.Weights == q.Weights &&
		slices.Equal(p.Tags, q.Tags) && maps.Equal(p.Meta, q.Meta)
}

// address is where it accepts connections.
func (p *ParentService) address() string {
	return localAt(p.Address, p.Port)
}

// at is what it is registered as, for sentences.
func (p *ParentService) at() string {
	if p.Port == 0 { // of one that nobody has looked at yet
		return p.ID
	}
	return p.ID + " at " + p.address()
}

const (
	// nomadWait is how long Nomad may take to register the group's services,
	// which it does while the first tasks start.
	nomadWait = 5 * time.Second

	nomadPollMin = 25 * time.Millisecond
	nomadPollMax = 500 * time.Millisecond
)

// awaitNomad looks again and again for what Nomad registers, and tells whether it
// was found within nomadWait.
func awaitNomad(ctx context.Context, look func(context.Context) (found bool, err error)) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, nomadWait)
	defer cancel()
	pause := pace.Backoff{Min: nomadPollMin, Max: nomadPollMax}
	for {
		if found, err := look(ctx); found || err != nil {
			return found, err
		}
		if err := pace.Wait(waiting, pause.Next()); err != nil {
			return false, ctx.Err()
		}
	}
}

// services are those of a group that are no proxies.
func services(group []*api.AgentService) []*api.AgentService {
	return slices.DeleteFunc(slices.Clone(group), func(svc *api.AgentService) bool { return svc.Kind != api.ServiceKindTypical })
}

// chooseParent picks it from all those of the group. It gives nil and no error
// while there is none yet.
func (r Registration) chooseParent(group []*api.AgentService) (*ParentService, error) {
	found := r.candidates(group)
	if label := r.Parent.PortLabel; label != "" {
		found = slices.DeleteFunc(found, func(svc *api.AgentService) bool { return r.label(svc) != label })
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return parentOf(found[0]), nil
	}
	labels := make([]string, 0, len(found))
	for _, svc := range found {
		labels = append(labels, r.label(svc))
	}
	return nil, sidecar.Invalidf("service", "the group has %d services named %q; say with service_port which one is meant: %s",
		len(found), r.Service, quoteAll(labels))
}

// candidates are the services of a group that have the name.
func (r Registration) candidates(group []*api.AgentService) []*api.AgentService {
	return slices.DeleteFunc(services(group), func(svc *api.AgentService) bool { return svc.Service != r.Service })
}

// label is the port label that Nomad has put into the ID of one.
func (r Registration) label(svc *api.AgentService) string {
	return strings.TrimPrefix(svc.ID, r.Parent.IDPrefix+svc.Service+"-")
}

// successor picks the service that Nomad has put into the place of a parent: a port
// label that is gone decides nothing any more. It gives nil when there is none.
func (r Registration) successor(group []*api.AgentService) *ParentService {
	found, err := r.chooseParent(group)
	if err != nil || found != nil {
		return found
	}
	if rest := r.candidates(group); len(rest) == 1 {
		return parentOf(rest[0])
	}
	return nil
}

// noParent says what was found in its place.
func (r Registration) noParent(group []*api.AgentService) error {
	group = services(group)
	if len(group) == 0 {
		return fmt.Errorf("Consul shows no service of this group: Nomad was to register %q within %s; is Nomad connected to the same Consul agent, and has the group a service with that name? A client without a service of its own says standalone = true",
			r.Service, nomadWait)
	}
	label := ""
	if r.Parent.PortLabel != "" {
		label = fmt.Sprintf(" on port %q", r.Parent.PortLabel)
	}
	return sidecar.Invalidf("service", "the group has no service %q%s; it has: %s", r.Service, label, namesOf(group))
}

// namesOf lists the names of services for a sentence.
func namesOf(services []*api.AgentService) string {
	names := make([]string, 0, len(services))
	for _, svc := range services {
		names = append(names, svc.Service)
	}
	return quoteAll(names)
}
