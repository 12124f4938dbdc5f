package sidecar

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
)

// loopback is where an app and its upstreams are unless it is said otherwise.
const loopback = "127.0.0.1"

const (
	// proxySuffix is the suffix by which Nomad knows the sidecar of a service:
	// it leaves such a registration alone and removes it just before its parent.
	proxySuffix = "-sidecar-proxy"

	tcpCheckInterval = "10s"

	// deregisterAfter rids the catalog of a proxy that nobody looks after any
	// more; it is the least that Consul accepts.
	deregisterAfter = "1m"

	// gateTTL is how long Consul believes the gate check without hearing from
	// us. It is critical all the time, so the length does not matter.
	gateTTL = "1h"
)

// Keys of a registration's Meta: whose process it stands for.
const (
	metaPID       = "proxy-pid"
	metaStartTime = "proxy-start-time"
	metaBootID    = "proxy-boot-id"
)

// metaTask is the key of Meta under which the driver says whose sidecar it is.
const metaTask = "nomad-task"

func gateCheckID(proxyID string) string  { return proxyID + ":ready" }
func tcpCheckID(proxyID string) string   { return proxyID + ":listening" }
func aliasCheckID(proxyID string) string { return proxyID + ":alias" }

// proxyID is the service ID that the sidecar is registered under.
func (s Spec) proxyID(parent *ParentService) string {
	if parent == nil {
		return s.StandaloneID
	}
	return parent.ID + proxySuffix
}

// registration is what Consul is told of the sidecar; parent is nil for a
// standalone one, id zero before Envoy runs. While it is not ready a gate
// check holds it critical, so that nobody is routed to it; when it is, a TCP
// check that begins as passing takes the gate's place. (Consul changes
// neither the status of an existing check nor, before a random part of its
// interval has passed, that of a new one without a status.)
func registration(s Spec, parent *ParentService, id process.Identity, ready bool) *api.AgentServiceRegistration {
	proxy := s.Proxy
	proxy.DestinationServiceName = s.Service
	tags, meta := s.Tags, map[string]string{}
	if parent != nil {
		// As Consul itself has it for the sidecars it registers: resolvers
		// choose subsets by the sidecar's meta.
		maps.Copy(meta, parent.Meta)
		if len(tags) == 0 {
			tags = parent.Tags
		}
	}
	maps.Copy(meta, s.Meta)
	if id != (process.Identity{}) {
		meta[metaPID] = strconv.Itoa(id.PID)
		meta[metaStartTime] = strconv.FormatUint(id.StartTime, 10)
		meta[metaBootID] = id.BootID
	}
	reg := &api.AgentServiceRegistration{
		Kind:      api.ServiceKindConnectProxy,
		ID:        s.proxyID(parent),
		Name:      s.Service + proxySuffix,
		Tags:      tags,
		Meta:      meta,
		Address:   s.Listener.Address,
		Port:      s.Listener.Number,
		Proxy:     &proxy,
		Checks:    api.AgentServiceChecks{},
		Namespace: s.Consul.Namespace,
		Partition: s.Consul.Partition,
	}
	if parent != nil {
		proxy.DestinationServiceID = parent.ID
		if proxy.LocalServiceSocketPath == "" {
			proxy.LocalServiceAddress = cmp.Or(proxy.LocalServiceAddress, parent.Address, loopback)
			if proxy.LocalServicePort == 0 {
				proxy.LocalServicePort = parent.Port
			}
		}
		reg.Checks = append(reg.Checks, aliasCheck(reg.ID, parent.ID))
	}
	if !ready {
		reg.Checks = append(reg.Checks, gateCheck(reg.ID))
	} else if !s.DisableTCPCheck {
		reg.Checks = append(reg.Checks, tcpCheck(reg.ID, s.Listener))
	}
	return reg
}

func aliasCheck(proxyID, parentID string) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{
		CheckID:      aliasCheckID(proxyID),
		Name:         "Connect Sidecar Aliasing " + parentID,
		AliasService: parentID,
	}
}

func gateCheck(proxyID string) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{
		CheckID: gateCheckID(proxyID),
		Name:    "Connect Sidecar Ready",
		Notes:   "critical until Envoy is ready and the local service accepts connections",
		TTL:     gateTTL,
		Status:  api.HealthCritical,
	}
}

func tcpCheck(proxyID string, listener Port) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{
		CheckID:                        tcpCheckID(proxyID),
		Name:                           "Connect Sidecar Listening",
		TCP:                            listener.HostPort(),
		Interval:                       tcpCheckInterval,
		Status:                         api.HealthPassing,
		DeregisterCriticalServiceAfter: deregisterAfter,
	}
}

// ParentService is the registration that a sidecar stands before.
type ParentService struct {
	ID      string
	Address string
	Port    int
	Tags    []string
	Meta    map[string]string
}

// chooseParent picks it from all those of the group. It gives nil and no error
// while there is none yet.
func chooseParent(s Spec, group []*api.AgentService) (*ParentService, error) {
	var found []*api.AgentService
	var labels []string
	for _, svc := range group {
		label := strings.TrimPrefix(svc.ID, s.Parent.IDPrefix+svc.Service+"-")
		if svc.Service != s.Service || (s.Parent.PortLabel != "" && label != s.Parent.PortLabel) {
			continue
		}
		found = append(found, svc)
		labels = append(labels, label)
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		svc := found[0]
		return &ParentService{ID: svc.ID, Address: svc.Address, Port: svc.Port, Tags: svc.Tags, Meta: svc.Meta}, nil
	}
	return nil, Invalidf("service", "the group has %d services named %q; say with service_port which one is meant: %s",
		len(found), s.Service, quoteAll(labels))
}
