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
}

func parentOf(svc *api.AgentService) *ParentService {
	return &ParentService{ID: svc.ID, Address: svc.Address, Port: svc.Port, Tags: svc.Tags, Meta: svc.Meta}
}

func (p *ParentService) equal(q *ParentService) bool {
	return p.ID == q.ID && p.Address == q.Address && p.Port == q.Port && slices.Equal(p.Tags, q.Tags) && maps.Equal(p.Meta, q.Meta)
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
	var found []*api.AgentService
	var labels []string
	for _, svc := range services(group) {
		label := strings.TrimPrefix(svc.ID, r.Parent.IDPrefix+svc.Service+"-")
		if svc.Service != r.Service || (r.Parent.PortLabel != "" && label != r.Parent.PortLabel) {
			continue
		}
		found = append(found, svc)
		labels = append(labels, label)
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return parentOf(found[0]), nil
	}
	return nil, sidecar.Invalidf("service", "the group has %d services named %q; say with service_port which one is meant: %s",
		len(found), r.Service, quoteAll(labels))
}

// noParent says what was found in its place.
func (r Registration) noParent(group []*api.AgentService, token string) error {
	group = services(group)
	if len(group) == 0 {
		hint := ""
		if token == "" {
			hint = " With ACLs it needs a token to see it (no ACL token is given)."
		}
		return fmt.Errorf("Consul shows no service of this group: Nomad was to register %q within %s; is Nomad connected to the same Consul agent, and has the group a service with that name?%s A client without a service of its own says standalone = true",
			r.Service, nomadWait, hint)
	}
	names := make([]string, 0, len(group))
	for _, svc := range group {
		names = append(names, svc.Service)
	}
	label := ""
	if r.Parent.PortLabel != "" {
		label = fmt.Sprintf(" on port %q", r.Parent.PortLabel)
	}
	return sidecar.Invalidf("service", "the group has no service %q%s; it has: %s", r.Service, label, quoteAll(names))
}
