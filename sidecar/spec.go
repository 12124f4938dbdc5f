package sidecar

import (
	"net"
	"strconv"
	"time"

	"nomad-driver-connect/process"
)

// Spec is what the life of a proxy depends on, whatever the proxy is. It is a
// value: nothing changes it after it was made.
type Spec struct {
	Run Run

	// ReadyTimeout bounds the time from a generation's start until it is ready.
	ReadyTimeout time.Duration

	// DrainTimeout is how long open connections may take to end, in whole
	// seconds, when a generation leaves after a hot restart; at a stop it is
	// bounded by the stop's own timeout, too.
	DrainTimeout time.Duration
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

// Run is the place that the program runs in.
type Run struct {
	// Root is the directory of the allocation: nothing outside of it is opened
	// on the word of a path that others can write below.
	Root string

	// Dir is the directory that the sidecar makes for itself, mode 0700, and
	// removes again. The program's working directory.
	Dir string

	User process.User

	// Sockets are the directories of sockets that are shared with a group.
	Sockets []SocketDir

	// Cgroup is where all of the task runs. Its memory limit is the program's,
	// too, where there is no such group.
	Cgroup process.Cgroup

	// Network is the namespace of the allocation; empty for that of the host.
	Network process.Network

	Env []string // "NAME=value"

	// Stdout and Stderr are paths of FIFOs or files.
	Stdout, Stderr string
}
