package mesh

import (
	"cmp"
	"maps"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
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

	// readyTTL is how long Consul believes that a proxy is ready without hearing
	// from the driver: longer than anybody leaves a Nomad agent stopped whose
	// allocations are to stay.
	readyTTL = time.Hour
)

// warmingPort is registered in place of the listener's until peers may come. To an
// Envoy that knows an instance at an address, its recovery is news that can wait
// for a second, to be merged with others (update_merge_window), while one at a new
// address is there at once. Nobody connects to either before.
const warmingPort = 1

// Keys of a registration's Meta: whose process it stands for, and whose sidecar it
// is.
const (
	metaPID       = "proxy-pid"
	metaStartTime = "proxy-start-time"

	MetaBootID = "proxy-boot-id"
	MetaTask   = "nomad-task"
)

// readyNotes is what the ready check says of itself.
const readyNotes = "passing when the proxy is ready, the local service accepts connections and its checks are well; the driver says so every few minutes"

func readyCheckID(proxyID string) string { return proxyID + ":ready" }

// aliasCheckID is that of a check which earlier versions of the driver registered.
func aliasCheckID(proxyID string) string { return proxyID + ":alias" }

// Registration is what Consul is told of a proxy, as the user and Nomad have it. It
// is a value, and lies in the task's handle.
type Registration struct {
	// Service is the mesh identity: the name of the service that the proxy
	// stands for.
	Service string

	// Parent finds the registration of that service; nil for a standalone
	// sidecar, whose service is registered nowhere.
	Parent *Parent

	// StandaloneID is the proxy's service ID when there is no parent.
	StandaloneID string

	// Listener is the proxy's public listener: mTLS from the mesh comes in here.
	Listener sidecar.Port

	Tags []string
	Meta map[string]string // who asked for it, and what the user added

	// Proxy goes to Consul as it stands, but for the parts that only the
	// parent's registration can tell (DestinationService*, LocalService*).
	Proxy api.AgentServiceConnectProxyConfig

	Namespace, Partition string // Consul Enterprise
}

// id is the service ID that the proxy is registered under.
func (r Registration) id(parent *ParentService) string {
	if parent == nil {
		return r.StandaloneID
	}
	return parent.ID + proxySuffix
}

// agentService is what Consul is told; parent is nil for a standalone sidecar. (Consul does not change the status of a check that
// it knows when it is registered again.)
func (r Registration) agentService(parent *ParentService, s sidecar.Standing, how entry) *api.AgentServiceRegistration {
	proxy := r.proxy(parent)
	reg := &api.AgentServiceRegistration{
		Kind:      api.ServiceKindConnectProxy,
		ID:        r.id(parent),
		Name:      r.Service + proxySuffix,
		Tags:      r.Tags,
		Meta:      r.meta(parent, s),
		Address:   r.Listener.Address,
		Port:      r.Listener.Number,
		Proxy:     &proxy,
		Checks:    api.AgentServiceChecks{readyCheck(r.id(parent), how)},
		Namespace: r.Namespace,
		Partition: r.Partition,
	}
	if !how.admitted {
		reg.Port = warmingPort
	}
	if parent != nil {
		if len(reg.Tags) == 0 {
			reg.Tags = parent.Tags
		}
		reg.Weights = &parent.Weights
	}
	return reg
}

// meta is as Consul itself has it for the sidecars it registers, with the parent's:
// resolvers choose subsets by the sidecar's meta.
func (r Registration) meta(parent *ParentService, s sidecar.Standing) map[string]string {
	meta := map[string]string{}
	if parent != nil {
		maps.Copy(meta, parent.Meta)
	}
	maps.Copy(meta, r.Meta)
	maps.Copy(meta, scraped(s.Listeners, r.Listener.Address))
	if of := s.Process; of != (process.Identity{}) {
		meta[metaPID] = strconv.Itoa(of.PID)
		meta[metaStartTime] = strconv.FormatUint(of.StartTime, 10)
		meta[MetaBootID] = of.BootID
	}
	return meta
}

// proxy completes the settings of the proxy.
func (r Registration) proxy(parent *ParentService) api.AgentServiceConnectProxyConfig {
	proxy := r.Proxy
	proxy.DestinationServiceName = r.Service
	proxy.Config = withBindPort(proxy.Config, r.Listener.Number)
	if parent == nil {
		return proxy
	}
	proxy.DestinationServiceID = parent.ID
	if proxy.LocalServiceSocketPath == "" {
		proxy.LocalServiceAddress = cmp.Or(proxy.LocalServiceAddress, parent.Address, loopback)
		if proxy.LocalServicePort == 0 {
			proxy.LocalServicePort = parent.Port
		}
	}
	return proxy
}

// withBindPort has the proxy listen on the port, whichever peers are told.
func withBindPort(config map[string]any, port int) map[string]any {
	with := map[string]any{"bind_port": port}
	maps.Copy(with, config)
	return with
}

// entry is how a registration enters Consul.
type entry struct {
	admitted bool   // peers are told the listener's port; the warming port before
	reaped   bool   // the proxy goes when it stays critical, since nobody looks after it then
	status   string // of a ready check that Consul does not know yet
}

// readyCheck says whether peers may come. Consul remembers the status of a TTL
// check across a restart of its agent; that of a TCP check would be critical
// until a random part of its interval has passed, and all instances of a
// service would be cut off at once.
func readyCheck(proxyID string, how entry) *api.AgentServiceCheck {
	check := &api.AgentServiceCheck{
		CheckID: readyCheckID(proxyID),
		Name:    "Connect Sidecar Ready",
		Notes:   readyNotes,
		TTL:     readyTTL.String(),
		Status:  how.status,
	}
	if how.reaped { // before, the app may take its time, and so may one that is not well
		check.DeregisterCriticalServiceAfter = deregisterAfter
	}
	return check
}
