package sidecar

import (
	"cmp"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
)

// loopback is where an app and its upstreams are unless it is said otherwise.
const loopback = "127.0.0.1"

const (
	// proxySuffix is the suffix by which Nomad knows the sidecar of a service:
	// it leaves such a registration alone and removes it just before its parent.
	proxySuffix = "-sidecar-proxy"

	// deregisterAfter rids the catalog of a proxy that nobody looks after any
	// more; it is the least that Consul accepts.
	deregisterAfter = "1m"

	// readyTTL is how long Consul believes that a sidecar is ready without
	// hearing from the driver: longer than anybody leaves a Nomad agent stopped
	// whose allocations are to stay.
	readyTTL      = time.Hour
	readyInterval = readyTTL / 6
)

// warmingPort is registered in place of the listener's until peers may come. To an
// Envoy that knows an instance at an address, its recovery is news that can wait
// for a second, to be merged with others (update_merge_window), while one at a new
// address is there at once. Nobody connects to either before.
const warmingPort = 1

// Keys of a registration's Meta: whose process it stands for.
const (
	metaPID       = "proxy-pid"
	metaStartTime = "proxy-start-time"
	metaBootID    = "proxy-boot-id"
)

// metaTask is the key of Meta under which the driver says whose sidecar it is.
const metaTask = "nomad-task"

// What a check says of itself, and of its status.
const (
	readyNotes = "passing when Envoy is ready and the local service accepts connections; the driver says so every few minutes"
	readyNote  = "Envoy is ready, and the local service accepts connections"
)

func readyCheckID(proxyID string) string { return proxyID + ":ready" }
func aliasCheckID(proxyID string) string { return proxyID + ":alias" }

// proxyID is the service ID that the sidecar is registered under.
func (s Spec) proxyID(parent *ParentService) string {
	if parent == nil {
		return s.StandaloneID
	}
	return parent.ID + proxySuffix
}

// registration is what Consul is told of the sidecar; parent is nil for a
// standalone one, id zero before Envoy runs. Its ready check holds it critical
// until it is ready, so that nobody is routed to it. (Consul does not change
// the status of a check that it knows when it is registered again; setStatus
// does.)
func registration(s Spec, parent *ParentService, id process.Identity, ready bool) *api.AgentServiceRegistration {
	proxy := s.Proxy
	proxy.DestinationServiceName = s.Service
	proxy.Config = withBindPort(proxy.Config, s.Listener.Number)
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
	if !ready {
		reg.Port = warmingPort
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
	reg.Checks = append(reg.Checks, readyCheck(reg.ID, ready))
	return reg
}

// withBindPort has Envoy listen on the port, whichever peers are told.
func withBindPort(config map[string]any, port int) map[string]any {
	with := map[string]any{"bind_port": port}
	maps.Copy(with, config)
	return with
}

func aliasCheck(proxyID, parentID string) *api.AgentServiceCheck {
	return &api.AgentServiceCheck{
		CheckID:      aliasCheckID(proxyID),
		Name:         "Connect Sidecar Aliasing " + parentID,
		AliasService: parentID,
	}
}

// readyCheck says whether peers may come. Consul remembers the status of a TTL
// check across a restart of its agent; that of a TCP check would be critical
// until a random part of its interval has passed, and all instances of a
// service would be cut off at once.
func readyCheck(proxyID string, ready bool) *api.AgentServiceCheck {
	check := &api.AgentServiceCheck{
		CheckID: readyCheckID(proxyID),
		Name:    "Connect Sidecar Ready",
		Notes:   readyNotes,
		TTL:     readyTTL.String(),
		Status:  api.HealthCritical,
	}
	if ready { // before, the app may take its time
		check.Status = api.HealthPassing
		check.DeregisterCriticalServiceAfter = deregisterAfter
	}
	return check
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
