package sidecar

import (
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/consul/api"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
)

// Spec is one sidecar, validated and complete. It is a value: nothing changes
// it after it was made, and nothing downstream checks it again.
type Spec struct {
	// Service is the mesh identity: the name of the service that the proxy
	// stands for.
	Service string

	// Parent finds the registration of that service; nil for a standalone
	// sidecar, whose service is registered nowhere.
	Parent *Parent

	// StandaloneID is the proxy's service ID when there is no parent; empty when
	// it is not in Consul either.
	StandaloneID string

	// Listener is the proxy's public listener: mTLS from the mesh comes in here.
	Listener Port

	Tags []string
	Meta map[string]string // who asked for it, and what the user added

	// Proxy goes to Consul as it stands, but for the parts that only the
	// parent's registration can tell (DestinationService*, LocalService*).
	Proxy api.AgentServiceConnectProxyConfig

	// BootstrapPath is where somebody else wrote the bootstrap; empty when the
	// sidecar registers itself and renders its own. Then Service, Listener and
	// Proxy follow from what Consul knows of the proxy, if anything, and Bootstrap
	// is what lies there.
	BootstrapPath string
	Bootstrap     []byte

	Consul consul.Config
	Envoy  Envoy
	Run    Run

	// ReadyTimeout bounds the time from Envoy's start until it is ready.
	ReadyTimeout time.Duration

	// DrainTimeout is how long open connections may take to end, in whole
	// seconds, when a generation leaves after a hot restart; at a stop it is
	// bounded by the stop's own timeout, too.
	DrainTimeout time.Duration
}

// Parent says how to find the registration that the sidecar stands before.
type Parent struct {
	// IDPrefix is what the IDs of all services of the same group begin with.
	IDPrefix string

	// PortLabel decides between two registrations of one name; else empty.
	PortLabel string
}

// Port is a port that the proxy listens on.
type Port struct {
	Label   string // how the user calls it; empty for a plain number
	Address string // IP address
	Number  int
}

// HostPort gives "address:number".
func (p Port) HostPort() string {
	return net.JoinHostPort(p.Address, strconv.Itoa(p.Number))
}

func (p Port) String() string {
	if p.Label == "" {
		return p.HostPort()
	}
	return p.HostPort() + " (" + p.Label + ")"
}

// Envoy says which Envoy runs, and how.
type Envoy struct {
	Path        string   // absolute path of the binary
	Version     string   // empty when it is not known yet
	Named       bool     // the job named it, and is wrong when it is no Envoy
	Args        []string // appended to the driver's own
	Concurrency int      // worker threads, at least 1
	LogLevel    string   // trace, debug, info, warning, error, critical, off
}

// Run is the place that Envoy runs in.
type Run struct {
	// Root is the directory of the allocation: nothing outside of it is opened
	// on the word of a path that others can write below.
	Root string

	// Dir is the directory that the sidecar makes for itself, mode 0700,
	// and removes again. Envoy's working directory; its admin socket lies here.
	Dir string

	User process.User

	// OwnUser: the user was made for this task, and nobody else knows of it.
	OwnUser bool

	// Cgroup is where all of the task runs. Its memory limit is Envoy's, too,
	// where there is no such group.
	Cgroup process.Cgroup

	// Network is the namespace of the allocation; empty for that of the host.
	Network process.Network

	// AllocDir is what the tasks of the allocation share.
	AllocDir string

	Env []string // "NAME=value"

	// Stdout and Stderr are paths of FIFOs or files.
	Stdout, Stderr string
}
